"""docker-compose.yml and Dockerfile, as far as they can be checked without a container engine."""

import ast
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "docker-compose.yml").read_text()
COMPOSITION: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
LOCKED = {
    name: (REPOSITORY / f"requirements-image{name}.txt").read_text()
    for name in ("", "-cpu", "-cuda")
}
EXAMPLE = dict(
    re.findall(r"^([A-Z0-9_]+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
)
MAY_STAY_EMPTY = {"HF_TOKEN", "DISTILLERY_WEBHOOK_URL", "TORCH_INDEX"}
HAVE_DEFAULTS = {name for name, value in EXAMPLE.items() if value}

TOP_KEYS = {"name", "services", "volumes"}
SERVICE_KEYS = {
    "build", "cap_add", "cap_drop", "command", "depends_on", "deploy", "entrypoint", "environment",
    "healthcheck", "image", "logging", "mem_limit", "pids_limit", "ports", "profiles", "read_only",
    "restart", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
"""The keys of the Compose Specification in use; a misspelt one would be ignored silently."""

CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+s)?")
SECRET_NAMES = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|AUTH_STRING|CONNECTION_URL|DOCKET_URL")

each_service = pytest.mark.parametrize("name", SERVICES)


def test_the_file_has_only_known_top_level_keys() -> None:
    extensions = {key for key in COMPOSITION if key.startswith("x-")}
    assert set(COMPOSITION) - extensions == TOP_KEYS
    used = {volume for one in SERVICES.values() for volume in _named_volumes(one)}
    assert used == set(COMPOSITION["volumes"])


def _named_volumes(service: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        assert mode in ([], ["ro"])
        if source.startswith("./"):
            assert (REPOSITORY / source).is_dir()
        else:
            yield source


@each_service
def test_a_service_follows_the_compose_specification(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    words = [*service.get("entrypoint", []), *service.get("command", [])]
    assert all(isinstance(word, str) for word in words)
    for variable, value in service["environment"].items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", variable)
        assert isinstance(value, str), "YAML would not pass a bare true or 0 as text"
    for duration in [service.get("stop_grace_period"), *_durations(service)]:
        assert duration is None or DURATION.fullmatch(duration)
    if "deploy" in service:
        card = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        assert service["deploy"] == {"resources": {"reservations": {"devices": [card]}}}
        assert service["profiles"] == ["gpu"]


def _durations(service: dict[str, Any]) -> Iterator[str]:
    check = service.get("healthcheck", {"test": ["NONE"]})
    assert check["test"][0] in ("CMD", "CMD-SHELL", "NONE")
    assert set(check) <= {"test", "interval", "timeout", "retries", "start_period"}
    yield from (check[key] for key in ("interval", "timeout", "start_period") if key in check)


@each_service
def test_a_service_is_pinned_and_published_on_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+(\.\d+)+(-\w+)?$", service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    assert service["restart"] in ("unless-stopped", "no")


@each_service
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "pids_limit", "logging"} <= set(service)
    if service["image"].startswith("distillery:"):
        assert not {"cap_add", "user"} & set(service), "the image has a user of its own"
        writable = {folder.strip("/") for folder in (*service.get("tmpfs", []), *_targets(service))}
        assert "tmp" in writable


def _targets(service: dict[str, Any]) -> Iterator[str]:
    yield from (volume.split(":")[1] for volume in service.get("volumes", []))


@each_service
def test_a_service_starts_after_its_dependencies(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        assert wanted["condition"] in CONDITIONS
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        if wanted["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"
        assert "profiles" not in SERVICES[other]
    text = json.dumps(SERVICES[name]["environment"])
    hosts = set(re.findall(r"(?:@|//)([a-z]+):\d+", text)) - {name}
    assert hosts <= _started_before(name)


def _started_before(name: str) -> set[str]:
    direct = set(SERVICES[name].get("depends_on", {}))
    return direct.union(*(_started_before(other) for other in direct))


def test_no_service_starts_while_a_secret_is_empty() -> None:
    assert not any(SECRET_NAMES.search(name) for name in HAVE_DEFAULTS)
    named = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT))
    assert named == set(EXAMPLE)
    for name in named:
        forms = set(re.findall(rf"\$\{{{name}(:[?-])([^}}]*)", TEXT))
        if name in MAY_STAY_EMPTY | HAVE_DEFAULTS:
            assert forms == {(":-", EXAMPLE[name])}
        else:
            assert {form for form, _ in forms} == {":?"}


@each_service
def test_secrets_come_from_the_environment(name: str) -> None:
    for variable, value in SERVICES[name]["environment"].items():
        if SECRET_NAMES.search(variable):
            assert re.search(r"\$\{[A-Z0-9_]+:[?-]", value), variable


def test_prefect_knows_each_of_its_settings() -> None:
    from prefect.server.utilities import encryption
    from prefect.settings import Settings
    from prefect.settings.legacy import _get_settings_fields
    from prefect_redis.client import RedisMessagingSettings

    known = set(_get_settings_fields(Settings))
    known |= {
        f"PREFECT_REDIS_MESSAGING_{field.upper()}" for field in RedisMessagingSettings.model_fields
    }
    known |= set(
        re.findall(r"PREFECT_\w+", inspect.getsource(encryption))
    )  # read outside its settings
    used = {name for one in SERVICES.values() for name in one["environment"]}
    assert {name for name in used if name.startswith("PREFECT_")} <= known


@each_service
def test_programs_options_and_modules_of_our_services_exist(name: str) -> None:
    service = SERVICES[name]
    if not service["image"].startswith("distillery:"):
        return
    program, *words = [*service["entrypoint"], *service["command"]]
    if program == "python":
        assert words[0] == "-c"
        ast.parse(words[1])
        return
    found = shutil.which(program, path=str(Path(sys.executable).parent))
    assert found is not None
    options = {word for word in words if word.startswith("--")}
    names = [word for word in words[:3] if re.fullmatch(r"[a-z]+", word)]
    page = subprocess.run([found, *names, "--help"], check=True, capture_output=True, text=True)
    assert all(option in page.stdout for option in options)
    for module in re.findall(r"prefect_redis\.\w+", json.dumps(service["environment"])):
        __import__(module)


def test_the_image_runs_unprivileged_and_copies_existing_files() -> None:
    _, *stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    assert len(stages) == 2
    last = stages[-1]
    assert last.index("USER 1000:1000") < last.index("ENTRYPOINT")
    assert "pip" not in last, "build tools stay in the first stage"
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for path in line.split():
            for torch in ("cpu", "cuda"):
                assert (REPOSITORY / path.replace("${TORCH}", torch)).exists()
    first = stages[0]
    assert "uninstall --yes pip setuptools" in first
    assert first.index("COPY requirements-image.txt") < first.index("pip install")
    assert "COPY flows" not in first, "a change to the code would reinstall everything"
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".env"} <= set(ignored)


def locked(*parts: str) -> dict[str, str]:
    """The versions in these parts of the lock, by normalised name."""
    pins = re.findall(
        r"^([\w.-]+)==([^ \\]+)", "\n".join(LOCKED[part] for part in parts), re.MULTILINE
    )
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def test_the_image_installs_only_files_with_known_digests() -> None:
    installs = re.findall(r"pip install (.+)", DOCKERFILE)
    assert len(installs) == 3
    for options in installs[:2]:
        assert {"--require-hashes", "--only-binary", "--no-deps"} <= set(options.split())
    assert {"--no-deps", "--no-build-isolation", "--no-index"} <= set(installs[2].split())
    assert "pip check" in DOCKERFILE, "nothing else notices a package that a lock lacks"
    for text in LOCKED.values():
        for entry in text.split("\n", 1)[1].replace(" \\\n", " ").splitlines():
            assert re.search(
                r"^[\w.-]+==\S+( ; \S+ == \S+)?(\s+--hash=sha256:[0-9a-f]{64})+$", entry
            )
        assert "://" not in text
    assert len(locked("")) > 100


def test_the_images_for_cpus_and_gpus_differ_in_pytorch_alone() -> None:
    assert not locked("").keys() & {"torch", "triton"}
    cuda = locked("-cuda")
    assert locked("-cpu") == {"torch": f"{cuda['torch']}+cpu"}
    others = cuda.keys() - {"torch", "triton"}
    assert all(re.match(r"cuda-|nvidia-", name) for name in others)


def test_the_image_has_the_versions_and_extras_that_are_tested() -> None:
    pins = re.findall(
        r"^([\w.-]+)==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE
    )
    tested = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}
    image = locked("", "-cuda")
    both = image.keys() & tested.keys()
    assert {name: image[name] for name in both} == {name: tested[name] for name in both}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["gpu"], *extras["s3"], *extras["server"]]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", one)[0]).lower() for one in wanted}
    assert names <= image.keys()
    assert "setuptools" in image, "the build of this package itself downloads nothing"

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
LOCKED = (REPOSITORY / "requirements-image.txt").read_text()
EXAMPLE = dict(
    re.findall(r"^([A-Z0-9_]+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE)
)
MAY_STAY_EMPTY = {"HF_TOKEN"}

TOP_KEYS = {"name", "services", "volumes"}
SERVICE_KEYS = {
    "build", "command", "depends_on", "deploy", "entrypoint", "environment", "healthcheck", "image",
    "ports", "profiles", "restart", "stop_grace_period", "volumes",
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
    assert set(check) <= {"test", "interval", "timeout", "retries"}
    yield from (check[key] for key in ("interval", "timeout") if key in check)


@each_service
def test_a_service_is_pinned_and_published_on_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+(\.\d+)+(-\w+)?$", service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    assert service["restart"] in ("unless-stopped", "no")


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
    assert set(EXAMPLE.values()) == {""}
    named = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT))
    assert named == set(EXAMPLE)
    for name in named:
        forms = set(re.findall(rf"\$\{{{name}(:[?-])", TEXT))
        assert forms == ({":-"} if name in MAY_STAY_EMPTY else {":?"})


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
    stages = DOCKERFILE.split("\nFROM ")
    assert len(stages) == 2
    last = stages[-1]
    assert last.index("USER distillery") < last.index("ENTRYPOINT")
    assert "pip" not in last, "build tools stay in the first stage"
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for path in line.split():
            assert (REPOSITORY / path).exists()
    first = stages[0]
    assert first.index("COPY requirements-image.txt") < first.index("pip install")
    assert "COPY flows" not in first, "a change to the code would reinstall everything"
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".env"} <= set(ignored)


def locked() -> dict[str, str]:
    """The versions in requirements-image.txt, by normalised name."""
    pins = re.findall(r"^([\w.-]+)==([^ \\]+)", LOCKED, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}


def test_the_image_installs_only_files_with_known_digests() -> None:
    installs = re.findall(r"pip install (.+)", DOCKERFILE)
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert {"--no-deps", "--no-build-isolation", "--no-index"} <= set(installs[1].split())
    entries = LOCKED.split("\n", 1)[1].replace(" \\\n", " ").splitlines()
    for entry in entries:
        assert re.search(r"^[\w.-]+==\S+( ; \S+ == \S+)?(\s+--hash=sha256:[0-9a-f]{64})+$", entry)
    assert len(entries) == len(locked()) > 100
    assert "://" not in LOCKED


def test_the_image_has_the_versions_and_extras_that_are_tested() -> None:
    pins = re.findall(
        r"^([\w.-]+)==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE
    )
    tested = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}
    image = locked()
    both = image.keys() & tested.keys()
    assert {name: image[name] for name in both} == {name: tested[name] for name in both}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["gpu"], *extras["s3"], *extras["server"]]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", one)[0]).lower() for one in wanted}
    assert names <= image.keys()
    assert "setuptools" in image, "the build of this package itself downloads nothing"

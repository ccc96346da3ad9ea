"""The composition and the image, as far as they can be held against the code without an engine."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
COMPOSITION: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


@pytest.mark.parametrize("name", COMPOSITION["services"])
def test_a_service_is_pinned_and_reached_from_this_machine_alone(name: str) -> None:
    service = COMPOSITION["services"][name]
    assert re.search(r":[\d.]+(-\w+)?$", service["image"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    for other, condition in service.get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert "healthcheck" in COMPOSITION["services"][other]
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSITION["volumes"]


def test_passwords_come_from_the_environment_and_have_no_default() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert wanted == {"POSTGRES_PASSWORD", "PREFECT_PASSWORD"}
    example = (REPOSITORY / ".env.example").read_text()
    assert dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE)) == dict.fromkeys(wanted, "")


@pytest.mark.parametrize("command", ["distillery", "prefect"])
def test_each_entry_point_is_installed(command: str) -> None:
    named = [service.get("entrypoint") for service in COMPOSITION["services"].values()]
    assert [command] in named or f'ENTRYPOINT ["{command}"]' in DOCKERFILE
    assert shutil.which(command, path=str(Path(sys.executable).parent))


def test_the_image_runs_as_a_normal_user_and_takes_what_is_there() -> None:
    assert DOCKERFILE.index("USER distillery") < DOCKERFILE.index("ENTRYPOINT")
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        for path in line.split():
            assert (REPOSITORY / path).exists()

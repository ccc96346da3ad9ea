"""docs/operations.md: commands, options, variables and artifact names exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.commands.app import app
from flows.dispatch import artifacts
from flows.server.automations import WEBHOOK_URL
from flows.server.deploy import HOME
from tests.composed import SERVICES

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "operations.md").read_text()
COMMANDS = sorted(set(re.findall(r"^    ((?:distillery|prefect) .+)$", PAGE, re.MULTILINE)))
PREFECT = Path(sys.executable).with_name("prefect")


def test_the_page_has_commands_of_distillery_and_prefect() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"distillery", "prefect"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_and_its_options_exist(command: str) -> None:
    program, *words = command.split()
    options = [word for word in words if word.startswith("--")]
    names = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
    if program == "distillery":
        groups = {group.name for group in app.registered_groups}
        verbs = names[: 2 if names[0] in groups else 1]
        help_text = CliRunner().invoke(app, [*verbs, "--help"], env={"COLUMNS": "200"}).stdout
    else:
        verbs = names[:2]
        done = subprocess.run(
            [str(PREFECT), *verbs, "--help"], capture_output=True, text=True, check=True
        )
        help_text = done.stdout
    for option in options:
        assert option in help_text


def test_each_picture_exists_and_is_small() -> None:
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE)
    assert len(shown) >= 5
    for name in shown:
        assert 0 < (REPOSITORY / "docs" / name).stat().st_size < 150_000


def test_variables_and_artifacts_have_the_documented_names() -> None:
    assert f"export {WEBHOOK_URL}=" in PAGE
    assert f"`{HOME}`" in PAGE
    source = Path(artifacts.__file__).read_text()
    for name in ("status", "hours", "reasons", "failed shards", "results"):
        assert f'"{name}"' in source
        assert f"…-{name.replace(' ', '-')}" in PAGE


def test_the_retention_periods_are_those_of_the_compose_file() -> None:
    settings = SERVICES["services"]["environment"]
    events = settings["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"]
    flow_runs = settings["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"]
    days = [re.fullmatch(r"P(\d+)D", period)[1] for period in (events, flow_runs)]
    text = " ".join(PAGE.split())
    assert f"deletes events after {days[0]} days" in text
    assert f"artifacts, after {days[1]} days" in text

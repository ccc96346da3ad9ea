"""The files for GitHub: the workflow runs what CONTRIBUTING.md says, forms and badges are true."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
INPUTS = {"textarea", "input", "dropdown", "checkboxes"}


@pytest.fixture
def job() -> Any:
    (job,) = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"].values()
    return job


def test_the_workflow_runs_what_every_change_must_pass(job: Any) -> None:
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0] == ".ci/run"
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(one.removeprefix("make ") in targets for one in commands[1:])


def test_the_workflow_has_the_oldest_python_and_no_rights(job: Any) -> None:
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert job["container"]["image"].startswith(f"python:{oldest}-")
    workflow = (ROOT / ".github/workflows/checks.yml").read_text()
    assert yaml.safe_load(workflow)["permissions"] == {"contents": "read"}
    assert "secrets." not in workflow


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_has_what_github_asks_of_it(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert set(content) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(content)
    inputs = [one for one in content["body"] if one["type"] in INPUTS]
    assert inputs and {one["type"] for one in content["body"]} <= INPUTS | {"markdown"}
    ids = [one["id"] for one in inputs]
    assert len(set(ids)) == len(ids)
    assert all(one["attributes"]["label"] for one in inputs)


def test_the_security_policy_has_the_limits_of_the_threat_model() -> None:
    model = (ROOT / "docs/threat-model.md").read_text()
    assert "checksums find accidents" in model
    assert "checksums find accidents" in (ROOT / "SECURITY.md").read_text()
    assert "installed packages and the administrator of the machine" in model


def test_badges_say_what_the_project_says_of_itself() -> None:
    readme = (ROOT / "README.md").read_text()
    badges = dict(re.findall(r"img\.shields\.io/badge/([a-z]+)-(.+?)-[a-z]+[)\"]", readme))
    oldest = PROJECT["requires-python"].removeprefix(">=")
    true = {"python": f"{oldest}+", "licence": PROJECT["license"]}
    for name, value in badges.items():
        assert unquote(value).replace("--", "-") == true[name]
    for workflow in re.findall(r"actions/workflows/([\w.]+)", readme):
        assert (ROOT / ".github/workflows" / workflow).exists()

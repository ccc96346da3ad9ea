"""The tiny pipeline, run for real by the command line in folders of its own."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from flows.commands.app import main
from tests.prefect_server import SHARED
from tests.processes import environment

REPOSITORY = Path(__file__).parents[2]
TEACHER = REPOSITORY / "tasks" / "demo" / "teacher"
COMMAND = Path(sys.executable).with_name("distillery")
_STARTS_FLOWS = {"run", "grid", "rerun", "repair", "deploy"}

Completed = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Run:
    """A configuration in a folder of its own, and the command line in that folder."""

    folder: Path
    config: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # of the command's environment
    starts_server: bool = False  # a Prefect server for each command, as without PREFECT_API_URL

    def distillery(self, *arguments: str, expect: int | None = 0) -> Completed:
        """Run a command: in this process unless it starts flows or has an environment of its own.

        Without `expect`, any exit status will do.
        """
        starts_flows = arguments[0] in _STARTS_FLOWS and "--plan" not in arguments
        run_it = self.process if starts_flows or self.variables else self.here
        return run_it(*arguments, expect=expect)

    def here(self, *arguments: str, expect: int | None = 0) -> Completed:
        """Run a command in this process, which saves the start of an interpreter."""
        out, err, status = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, environment(), clear=True),
            mock.patch.object(sys, "argv", ["distillery", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as end:
                status = int(end.code or 0)
        done = subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
        return _checked(done, expect)

    def process(self, *arguments: str, expect: int | None = 0) -> Completed:
        """Run a command in a process of its own, on the Prefect server that the tests share."""
        server = {} if self.starts_server else SHARED.started().client_settings
        done = subprocess.run(
            [str(COMMAND), *arguments],
            cwd=self.folder,
            env=environment(**{**server, **self.variables}),
            capture_output=True,
            text=True,
            timeout=280,
        )
        return _checked(done, expect)

    def run(self, *arguments: str, expect: int | None = 0) -> Completed:
        return self.distillery("run", self.config.name, *arguments, expect=expect)

    def json(self, *words: str, expect: int | None = 0) -> Any:
        done = self.distillery(*words, self.config.name, "--json", expect=expect)
        return json.loads(done.stdout)

    @property
    def digest(self) -> str:
        return str(self.json("manifest", "show")["digest"])

    @property
    def root(self) -> Path:
        return self.folder / "tiny-data"

    def receipts(self, stage: str) -> dict[str, bytes]:
        found = (self.root / stage).rglob("*.receipt.json")
        return {str(path.relative_to(self.root)): path.read_bytes() for path in sorted(found)}


def _checked(done: Completed, expect: int | None) -> Completed:
    if expect is not None:
        assert done.returncode == expect, done.stdout + done.stderr
    return done


def tiny(folder: Path, **changes: dict[str, Any]) -> Run:
    """The checked-in tiny configuration in `folder`, with blocks of it changed."""
    settings = yaml.safe_load((REPOSITORY / "configs" / "tiny.yaml").read_text())
    settings["label"]["teacher"]["path"] = str(TEACHER)
    for block, values in changes.items():
        settings.setdefault(block, {}).update(values)
    config = folder / "tiny.yaml"
    config.write_text(yaml.safe_dump(settings))
    return Run(folder, config)


def copied(run: Run, folder: Path) -> Run:
    """A finished run in a folder of its own."""
    shutil.copytree(run.folder, folder, copy_function=shutil.copy, dirs_exist_ok=True)
    return tiny(folder)

"""The tiny pipeline, run for real by the command line in folders of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
TEACHER = REPOSITORY / "tasks" / "demo" / "teacher"
COMMAND = Path(sys.executable).with_name("distillery")


@dataclass(frozen=True)
class Run:
    """A configuration in a folder of its own, and the command line in that folder."""

    folder: Path
    config: Path
    variables: Mapping[str, str] = field(default_factory=dict)  # of the command's environment

    def distillery(
        self, *arguments: str, expect: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the configuration as its first argument after the words."""
        done = subprocess.run(
            [str(COMMAND), *arguments],
            cwd=self.folder,
            env=environment(**self.variables),
            capture_output=True,
            text=True,
            timeout=280,
        )
        if expect is not None:
            assert done.returncode == expect, done.stdout + done.stderr
        return done

    def run(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.distillery("run", self.config.name, *arguments, expect=expect)

    def json(self, *words: str) -> Any:
        return json.loads(self.distillery(*words, self.config.name, "--json").stdout)

    @property
    def digest(self) -> str:
        return str(self.json("manifest", "show")["digest"])

    @property
    def root(self) -> Path:
        return self.folder / "tiny-data"

    def receipts(self, stage: str) -> dict[str, bytes]:
        found = (self.root / stage).rglob("*.receipt.json")
        return {str(path.relative_to(self.root)): path.read_bytes() for path in sorted(found)}


def environment(**more: str) -> dict[str, str]:
    """This process's environment without its Prefect settings, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, **more}


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
    subprocess.run(["cp", "-r", str(run.folder) + "/.", str(folder)], check=True)
    return tiny(folder)

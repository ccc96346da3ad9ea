"""Runs on real speech, which may be started before a test needs them."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil

from tests.flows.running import COMMAND
from tests.processes import environment, running
from tests.real.results import Results
from tests.real.speech import Speech

_BASE_TRAIN_HOURS: Final = 0.25
_LIMIT_S: Final = 3 * 3600.0


class Runs:
    """One run for each teacher: all corpora with tiny.en, little training with base.

    They stop with `stack`.
    """

    def __init__(
        self,
        speech: Speech,
        teacher: Callable[[str], Path],
        new_folder: Callable[[str], Path],
        stack: ExitStack,
    ) -> None:
        self._speech, self._teacher = speech, teacher
        self._new_folder, self._stack = new_folder, stack
        self._started: dict[str, tuple[Path, psutil.Popen]] = {}

    def start(self, name: str) -> None:
        """Start the run of a teacher, unless that was done before."""
        if name in self._started:
            return
        train_hours = None if name == "tiny.en" else _BASE_TRAIN_HOURS
        folder = self._new_folder(f"run-{name}")
        config = self._speech.write_run(folder, self._teacher(name), train_hours=train_hours)
        command = [str(COMMAND), "run", str(config)]
        process = running(command, environment(), config.with_suffix(".log"), folder)
        self._started[name] = config, self._stack.enter_context(process)

    def results(self, name: str) -> Results:
        """Wait for the run of a teacher, started if it was not, and return what it stored."""
        self.start(name)
        config, process = self._started[name]
        assert process.wait(_LIMIT_S) == 0, config.with_suffix(".log").read_text()
        return Results(config)

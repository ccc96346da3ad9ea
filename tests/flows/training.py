"""Trainings of the tiny configuration in processes that can be killed."""

import multiprocessing
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final

import torch

from configs.load import load_config
from flows.state.corpus_state import corpus_states
from flows.state.models import student_receipt_path, validation_audio
from flows.state.publication import find_current
from storage.receipt import Receipt
from storage.store import Store
from tasks.distil.make import make_student_of
from tasks.distil.progress.rows import TrainingRow
from tests.flows.running import Run

_FORKS: Final = multiprocessing.get_context("forkserver")
_LIMIT_S: Final = 200.0
_MAX_PAUSE_S: Final = 0.4
"""Longer than an update with its validation and checkpoint."""


@dataclass(frozen=True)
class Kill:
    """A training that was killed some time after it had reported `step`."""

    resumed_after: int
    step: int


def train(run: Run) -> Receipt:
    """Train the student of a run whose manifest is published, without interruption."""
    process, steps = _started(run)
    while _next(steps) is not None:
        steps.send(None)
    return _ended(run, process)


def train_with_kills(run: Run, random: Random, num_kills: int) -> tuple[Receipt, list[Kill]]:
    """Train with SIGKILL at random moments, resuming after each.

    A training waits after each update until it may go on, and is killed within the next four,
    however fast it is.
    """
    kills: list[Kill] = []
    for _ in range(num_kills):
        process, steps = _started(run)
        first = last = _next(steps)
        for _ in range(random.randrange(4)):
            steps.send(None)
            if (step := _next(steps)) is None:
                break
            last = step
        else:
            steps.send(None)
        process.join(random.uniform(0, _MAX_PAUSE_S))
        process.kill()
        process.join()
        assert process.exitcode == -9, "the training had ended before it was killed"
        kills.append(Kill((first or 0) - 1, last or 0))
    return train(run), kills


def files_of(receipt: Receipt) -> Mapping[str, str]:
    """The digest of each file of a student: weights, metrics of all updates, settings."""
    return {one.path.split("/")[-1]: one.sha256 for one in (receipt.output, *receipt.beside)}


def _started(run: Run) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    # what is imported before the fork starts at once
    _FORKS.set_forkserver_preload([__name__])
    steps, reports = _FORKS.Pipe()
    process = _FORKS.Process(target=_train, args=(run.config, run.folder, reports))
    process.start()
    reports.close()
    return process, steps


def _next(steps: Connection) -> int | None:
    """The next update that a training reports; None once it has ended."""
    assert steps.poll(_LIMIT_S), "the training has stopped"
    try:
        step: int = steps.recv()
    except EOFError:
        return None
    return step


def _ended(run: Run, process: multiprocessing.process.BaseProcess) -> Receipt:
    process.join(_LIMIT_S)
    assert process.exitcode == 0
    (path,) = run.root.glob("distil/*/student.receipt.json")
    return Receipt.parse(path.read_bytes(), str(path))


def _train(config: Path, folder: Path, reports: Connection) -> None:
    """Runs in the process that may be killed."""

    def wait_after(row: TrainingRow) -> None:
        reports.send(row.step)
        reports.recv()

    torch.set_num_threads(1)
    settings = load_config(config)
    store = Store(str(folder / settings.root))
    states = corpus_states(settings, store)
    published, speech = find_current(settings, store, states), validation_audio(states)
    assert published is not None
    path = student_receipt_path(settings, published, speech)
    make_student_of(settings, store, published, path, speech, wait_after)

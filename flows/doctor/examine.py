"""Preflight checks of a run: keys, storage, disk, device, teacher, server, sources."""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import uuid4

from configs.schema import RunConfig
from flows.doctor.check import Check, guarded, problem
from flows.doctor.models import evaluation_checks, teacher_checks
from flows.doctor.sources import source_checks
from flows.server.credentials import use_credentials
from flows.state.corpus_state import CorpusState
from flows.state.estimate import estimate
from storage.errors import DistilleryError, UserError
from storage.store import Store
from tasks.corpora.registry import refuse_unlicensed
from tasks.corpora.synthetic import SYNTHETIC_CORPORA
from tasks.distil.progress.choice import chosen_trackers
from tasks.stages import STAGE_NAMES

_NUM_AT_ONCE: Final = 8
_COMPILERS: Final = ("g++", "clang++")


class ImpossibleRunError(UserError):
    """A run that is known to fail; `problems` has one line for each reason."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; also: ".join(problems))
        self.problems = tuple(problems)


def examine(config: RunConfig, path: str) -> list[Check]:
    """The results of all checks. They take seconds and download nothing; no error is raised.

    `path` is the path of the configuration.
    """
    keys = list(guarded("credentials", lambda: _credentials(config)))
    store, storage = _storage(config)
    named_checks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("disk", lambda: _disk(config, store)),
        ("scratch", lambda: _scratch(store)),
        ("device", lambda: _device(config)),
        ("teacher", lambda: teacher_checks(config)),
        ("evaluate", lambda: evaluation_checks(config)),
        ("trackers", lambda: _trackers(config)),
        ("compiler", lambda: _compiler(config)),
        ("voices", lambda: _voices(config)),
        ("licence", lambda: _licence(config)),
        ("server", lambda: _server(config, path)),
        *((name, _sources_of(config, store, name)) for name in config.corpora),
    ]
    with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
        results = list(pool.map(lambda named: list(guarded(*named)), named_checks))
    return [*keys, *storage, *(check for checks in results for check in checks)]


def require_possible(config: RunConfig, store: Store, until: str = STAGE_NAMES[-1]) -> None:
    """Raise `ImpossibleRunError` if a run up to `until` is known to fail.

    Without network access, this checks licences, sources that must be provided by hand, mirrors in
    folders and, if something is to be labelled, the device, trained, the trackers, or evaluated,
    the folders of further models and of noise.
    """
    named_checks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("licence", lambda: _licence(config)),
        *((name, _sources_of(config, store, name, thorough=False)) for name in config.corpora),
    ]
    if STAGE_NAMES.index(until) >= STAGE_NAMES.index("label") and config.runtime.device == "cuda":
        named_checks.append(("device", lambda: _device(config)))
    if STAGE_NAMES.index(until) >= STAGE_NAMES.index("distil"):
        named_checks.append(("trackers", lambda: _trackers(config)))
        named_checks.append(("compiler", lambda: _compiler(config)))
    if STAGE_NAMES.index(until) >= STAGE_NAMES.index("evaluate"):
        named_checks.append(("evaluate", lambda: evaluation_checks(config, thorough=False)))
    checks = [check for named in named_checks for check in guarded(*named)]
    if problems := [
        f"{check.subject}: {check.found}{f'; {check.next_step}' if check.next_step else ''}"
        for check in checks
        if check.state == "problem"
    ]:
        raise ImpossibleRunError(problems)


def _credentials(config: RunConfig) -> Iterator[Check]:
    """Whether the Prefect block with the keys of the storage can be read, if one is configured."""
    if (name := config.runtime.s3_credentials) is not None:
        use_credentials(name)
        yield Check(subject="credentials", state="ok", found=f"the block {name} has keys")


def _storage(config: RunConfig) -> tuple[Store, list[Check]]:
    """The store; if it cannot be used, an empty one, in which nothing is done yet."""
    try:
        store = Store(config.root, config.runtime.scratch)
        store.check()
    except (DistilleryError, OSError) as error:
        empty = Store(f"memory://{uuid4().hex}", config.runtime.scratch)
        return empty, [problem("storage", error)]
    return store, [Check(subject="storage", state="ok", found=f"{store.root} is writable")]


def _disk(config: RunConfig, store: Store) -> Iterator[Check]:
    """Whether there is space for what is still to be written; unknown for an object store."""
    free_bytes = store.free_bytes()
    if free_bytes is None:
        return
    try:
        needed = sum(one.terabytes_to_write for one in estimate(config, store))
    except UserError:
        found = f"{free_bytes / 1e12:.3f} TB free; the space needed is unknown"
        next_step = "fix the problems of the corpora first"
        yield Check(subject="disk", state="warning", found=found, next_step=next_step)
        return
    found = f"{free_bytes / 1e12:.3f} TB free, about {needed:.3f} TB needed"
    if free_bytes / 1e12 < needed:
        next_step = "free space, set limit_hours, or use a root on s3://"
        yield Check(subject="disk", state="problem", found=found, next_step=next_step)
    else:
        yield Check(subject="disk", state="ok", found=found)


def _scratch(store: Store) -> Iterator[Check]:
    folder = store.scratch_folder()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"written")
    yield Check(subject="scratch", state="ok", found=f"{folder} is writable")


def _device(config: RunConfig) -> Iterator[Check]:
    device = config.runtime.device
    if device == "cpu":
        yield Check(subject="device", state="ok", found="the CPU, as configured")
        return
    import torch

    if torch.cuda.is_available():
        yield Check(subject="device", state="ok", found=torch.cuda.get_device_name())
    elif device == "cuda":
        yield Check(
            subject="device",
            state="problem",
            found="runtime.device is cuda and torch finds no GPU",
            next_step="set it to auto or cpu, or install the driver and a torch built for it",
        )
    else:
        yield Check(subject="device", state="ok", found="no GPU; the CPU is used")


def _trackers(config: RunConfig) -> Iterator[Check]:
    """Whether the trackers that are to follow the training are installed."""
    names = ", ".join(chosen_trackers(config.runtime)) or "none"
    yield Check(subject="trackers", state="ok", found=f"the training is followed by {names}")


def _compiler(config: RunConfig) -> Iterator[Check]:
    """Whether there is a compiler, if the training is to be compiled."""
    if not config.runtime.compile:
        return
    if found := next(filter(None, map(shutil.which, _COMPILERS)), None):
        yield Check(subject="compiler", state="ok", found=f"the training is compiled by {found}")
    else:
        yield Check(
            subject="compiler",
            state="problem",
            found=f"runtime.compile is true, and there is no {' or '.join(_COMPILERS)}",
            next_step="install a C++ compiler (Debian: g++), or set it to false",
        )


def _voices(config: RunConfig) -> Iterator[Check]:
    """Whether the voices of a synthetic configuration are installed."""
    if config.synthetic is None:
        return
    synthetic = [name for name, settings in config.corpora.items() if settings.local is None]
    for name in synthetic:
        if name not in SYNTHETIC_CORPORA:
            found = f"there is no synthetic form of {name}"
            next_step = f"use one of {', '.join(sorted(SYNTHETIC_CORPORA))}"
            yield Check(subject="voices", state="problem", found=found, next_step=next_step)
    if importlib.util.find_spec("espeakng_loader") is None:
        found, next_step = "espeak-ng is not installed", "pip install espeakng-loader"
        yield Check(subject="voices", state="problem", found=found, next_step=next_step)
    else:
        yield Check(subject="voices", state="ok", found="espeak-ng is installed")


def _server(config: RunConfig, path: str) -> Iterator[Check]:
    if not os.environ.get("PREFECT_API_URL"):
        found = "PREFECT_API_URL is not set: a run starts its own server"
        yield Check(subject="server", state="ok", found=found)
        return
    from flows.server.checks import server_checks

    yield from server_checks(path, config)


def _licence(config: RunConfig) -> Iterator[Check]:
    refuse_unlicensed(config)
    yield Check(
        subject="licence", state="ok", found=f"every licence satisfies `licence: {config.licence}`"
    )


def _sources_of(
    config: RunConfig, store: Store, name: str, *, thorough: bool = True
) -> Callable[[], Iterable[Check]]:
    return lambda: source_checks(CorpusState(config, store, name), thorough=thorough)

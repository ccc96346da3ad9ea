"""What stands in the way of a run: keys, storage, disk, device, teacher, server, sources."""

import importlib.util
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from rich.markup import escape

from configs.schema import RunConfig, Teacher
from flows.commands.screen import OUT, table
from flows.doctor.check import Check, guarded, problem
from flows.doctor.sources import TIMEOUT_S, source_checks
from flows.server.credentials import use_credentials
from flows.state.corpus_state import CorpusState
from flows.state.estimate import estimate
from storage.errors import DistilleryError, UserError
from storage.store import Store
from tasks.corpora.registry import refuse_unlicensed
from tasks.corpora.synthetic import SYNTHETIC_CORPORA
from tasks.download.hub import auth_headers
from tasks.stages import STAGE_NAMES
from tasks.whisper.identity import model_files

_NUM_AT_ONCE: Final = 8
_COLOURS: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


class HopelessError(UserError):
    """A run that cannot come to its end as things are; `problems` are in one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; also: ".join(problems))
        self.problems = tuple(problems)


def examine(config: RunConfig, path: str) -> list[Check]:
    """Every check that there is, within seconds and without a download; raises nothing.

    `path` is where the configuration was read from.
    """
    keys = list(guarded("credentials", lambda: _credentials(config)))
    store, storage = _storage(config)
    looks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("disk", lambda: _disk(config, store)),
        ("scratch", lambda: _scratch(store)),
        ("device", lambda: _device(config)),
        ("teacher", lambda: _teacher(config)),
        ("voices", lambda: _voices(config)),
        ("voice activity", lambda: _voice_activity(config)),
        ("licence", lambda: _licence(config)),
        ("server", lambda: _server(config, path)),
        *((name, _sources_of(config, store, name)) for name in config.corpora),
    ]
    with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
        found = list(pool.map(lambda look: list(guarded(*look)), looks))
    return [*keys, *storage, *(check for checks in found for check in checks)]


def refuse_hopeless(config: RunConfig, store: Store, until: str = STAGE_NAMES[-1]) -> None:
    """Raise `HopelessError` for a run up to `until` that is known to fail; asks no server.

    Looks at licences, at what must be brought by hand, at mirrors in folders and, where something
    is to be labelled, at the device.
    """
    looks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("licence", lambda: _licence(config)),
        *((name, _sources_of(config, store, name, thorough=False)) for name in config.corpora),
    ]
    if STAGE_NAMES.index(until) >= STAGE_NAMES.index("label") and config.runtime.device == "cuda":
        looks.append(("device", lambda: _device(config)))
    checks = [check for look in looks for check in guarded(*look)]
    if problems := [
        f"{check.subject}: {check.found}{f'; {check.next_step}' if check.next_step else ''}"
        for check in checks
        if check.state == "problem"
    ]:
        raise HopelessError(problems)


def _credentials(config: RunConfig) -> Iterator[Check]:
    """Whether the keys of the storage can be had, where a block of the server holds them."""
    if (name := config.runtime.s3_credentials) is not None:
        use_credentials(name)
        yield Check(subject="credentials", state="ok", found=f"the block {name} holds keys")


def _storage(config: RunConfig) -> tuple[Store, list[Check]]:
    """The store; where it cannot be used, an empty one that has everything still to do."""
    try:
        store = Store(config.root, config.runtime.scratch)
        store.check()
    except (DistilleryError, OSError) as error:
        empty = Store(f"memory://{uuid4().hex}", config.runtime.scratch)
        return empty, [problem("storage", error)]
    return store, [Check(subject="storage", state="ok", found=f"{store.root} can be written to")]


def _disk(config: RunConfig, store: Store) -> Iterator[Check]:
    """Room for what is still to be written; an object store has no end that can be seen."""
    free_bytes = store.free_bytes()
    if free_bytes is None:
        return
    try:
        needed = sum(one.terabytes_to_write for one in estimate(config, store))
    except UserError:
        found = f"{free_bytes / 1e12:.3f} TB free; what is needed is not known"
        next_step = "mend the corpora first"
        yield Check(subject="disk", state="warning", found=found, next_step=next_step)
        return
    found = f"{free_bytes / 1e12:.3f} TB free, about {needed:.3f} TB to be written"
    if free_bytes / 1e12 < needed:
        next_step = "make room, set limit_hours, or take a root of s3://"
        yield Check(subject="disk", state="problem", found=found, next_step=next_step)
    else:
        yield Check(subject="disk", state="ok", found=found)


def _scratch(store: Store) -> Iterator[Check]:
    folder = store.scratch_folder()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"written")
    yield Check(subject="scratch", state="ok", found=f"{folder} can be written to")


def _device(config: RunConfig) -> Iterator[Check]:
    wanted = config.runtime.device
    if wanted == "cpu":
        yield Check(subject="device", state="ok", found="the processor, as configured")
        return
    import torch

    if torch.cuda.is_available():
        yield Check(subject="device", state="ok", found=torch.cuda.get_device_name())
    elif wanted == "cuda":
        yield Check(
            subject="device",
            state="problem",
            found="runtime.device is cuda and torch finds no GPU",
            next_step="set it to auto or cpu, or install the driver and a torch built for it",
        )
    else:
        yield Check(subject="device", state="ok", found="no GPU: the processor")


def _teacher(config: RunConfig) -> Iterator[Check]:
    teacher = config.label.teacher
    if (folder := teacher.folder) is not None:
        model_files(folder)
        yield Check(subject="teacher", state="ok", found=f"{teacher.path} holds a model")
        yield from _language(config, folder / "generation_config.json")
        return
    name = f"{teacher.hub}@{teacher.revision}"
    if (cached := _cached(teacher, "config.json")) is not None:
        yield Check(subject="teacher", state="ok", found=f"{name} is in the cache of the Hub")
        yield from _language(config, cached.with_name("generation_config.json"))
    else:
        yield _on_hub(teacher, name)


def _cached(teacher: Teacher, file: str) -> Path | None:
    found = try_to_load_from_cache(str(teacher.hub), file, revision=teacher.revision)
    return Path(found) if isinstance(found, str) else None


def _on_hub(teacher: Teacher, name: str) -> Check:
    url = hf_hub_url(str(teacher.hub), "config.json", revision=teacher.revision)
    mend = "or copy the model to a folder and give its `path`"
    try:
        answer = httpx.head(url, headers=auth_headers(), timeout=TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError as error:
        found = f"the Hub cannot be reached for {name} ({type(error).__name__})"
        next_step = f"check the network, {mend}"
        return Check(subject="teacher", state="problem", found=found, next_step=next_step)
    if answer.is_success:
        return Check(subject="teacher", state="ok", found=f"{name} is on the Hub")
    found = f"the Hub answers {answer.status_code} for {name}"
    next_step = f"check `hub`, `revision` and HF_TOKEN, {mend}"
    return Check(subject="teacher", state="problem", found=found, next_step=next_step)


def _language(config: RunConfig, generation: Path) -> Iterator[Check]:
    """Whether the teacher has a token for the language, as far as its files say."""
    try:
        values: dict[str, Any] = json.loads(generation.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    language, known = config.label.language, values.get("lang_to_id") or {}
    if known and f"<|{language}|>" not in known:
        found = f"the teacher does not know the language {language!r}"
    elif not known and values.get("is_multilingual") is False and language != "en":
        found = f"the teacher knows English alone, and label.language is {language!r}"
    else:
        return
    next_step = "change label.language, or take another teacher"
    yield Check(subject="teacher", state="problem", found=found, next_step=next_step)


def _voice_activity(config: RunConfig) -> Iterator[Check]:
    """What cutting recordings without texts needs."""
    if config.normalise.segment == "vad" and importlib.util.find_spec("silero_vad") is None:
        found, next_step = "silero-vad is not installed", "pip install '.[vad]' in the checkout"
        yield Check(subject="voice activity", state="problem", found=found, next_step=next_step)


def _voices(config: RunConfig) -> Iterator[Check]:
    """What a synthetic configuration needs to speak."""
    if config.synthetic is None:
        return
    made_here = [name for name, settings in config.corpora.items() if settings.local is None]
    for name in made_here:
        if name not in SYNTHETIC_CORPORA:
            found = f"there is no synthetic form of {name}"
            next_step = f"take one of {', '.join(sorted(SYNTHETIC_CORPORA))}"
            yield Check(subject="voices", state="problem", found=found, next_step=next_step)
    if importlib.util.find_spec("espeakng_loader") is None:
        found, next_step = "espeak-ng is not installed", "pip install espeakng-loader"
        yield Check(subject="voices", state="problem", found=found, next_step=next_step)
    else:
        yield Check(subject="voices", state="ok", found="espeak-ng is installed")


def _server(config: RunConfig, path: str) -> Iterator[Check]:
    if not os.environ.get("PREFECT_API_URL"):
        found = "PREFECT_API_URL names none: a run starts one of its own"
        yield Check(subject="server", state="ok", found=found)
        return
    from flows.server.checks import server_checks

    yield from server_checks(path, config)


def _licence(config: RunConfig) -> Iterator[Check]:
    refuse_unlicensed(config)
    yield Check(subject="licence", state="ok", found=f"{config.licence} is what is demanded")


def _sources_of(
    config: RunConfig, store: Store, name: str, *, thorough: bool = True
) -> Callable[[], Iterable[Check]]:
    return lambda: source_checks(CorpusState(config, store, name), thorough=thorough)


def print_checks(checks: Sequence[Check]) -> None:
    """A line for each check: state, subject, what was found, what to do next."""
    made = table(
        "Doctor", "", "subject", "found", "next step", words=["subject", "found", "next step"]
    )
    for check in checks:
        colour = _COLOURS[check.state]
        made.add_row(
            f"[{colour}]{check.state}[/{colour}]",
            *map(escape, (check.subject, check.found, check.next_step)),
        )
    OUT.print(made)

"""Trains the student of a manifest and stores it; resumes after interruption."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from torch import nn
from transformers import WhisperProcessor

from configs.schema import RunConfig
from storage.checkpoints import StoreCheckpoints
from storage.errors import UserError
from storage.manifest import Manifest
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.distil.execution import Execution
from tasks.distil.outlook import Outlook
from tasks.distil.parallel.members import (
    Work,
    is_follower,
    is_launched,
    launched,
    met,
    num_on_this_machine,
    started,
)
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.distil.progress.rows import TRAINING_FILE, OnRows, OnStep, ignored, to_lines
from tasks.distil.progress.trackers import following
from tasks.distil.student import save_student
from tasks.distil.train import distil
from tasks.distil.training import TrainingResult
from tasks.distil.validation import OnValidation, Validator
from tasks.distil.validation_speech import read_validation_speech
from tasks.reading.examples import ExampleSource
from tasks.reading.training import training_examples
from tasks.whisper.device import device_name
from tasks.whisper.encoding.cache import FOLDER, OutputCache
from tasks.whisper.engines import require_whisper
from tasks.whisper.model import LoadedWhisper, load_whisper, silent_transformers
from tasks.whisper.tokens import SpecialTokens

_WEIGHTS: Final = "model.safetensors"


def make_student_of(
    config: RunConfig,
    store: Store,
    published: Manifest,
    receipt_path: str,
    validation: Sequence[tuple[str, FileRef]],
    on_step: OnStep | None = None,
    on_rows: OnRows = ignored,
) -> Receipt:
    """Train the student of a manifest, resuming from its latest checkpoint, and store it.

    `validation` are normalised shards of held-out speech, each with its set; the weights with the
    lowest word error rate on them, the mean over the sets, are stored, or the mean of several. All
    files are below the folder of `receipt_path`, which is named by the student's fingerprint.
    Trains in a process for each of `runtime.devices`, or as the first of those that torchrun
    started. Raises what `tasks.distil.train.distil` raises, and `UserError` if the manifest has no
    training data, the teacher is not a Whisper model, or a tracker of `runtime.trackers` cannot
    follow.
    """
    require_whisper(config.label)
    if is_follower():
        raise UserError(
            f"this is process {os.environ['RANK']} of several that were started together, and only"
            " the training can be: distillery train CONFIG"
        )
    work = partial(_follow, config, published, receipt_path)
    with (
        following(config, store, receipt_path, on_rows) as (report, validated),
        _processes(config, work) as (processes, device),
    ):
        trained = _train(
            config, store, published, receipt_path, processes, device, on_step, report,
            lambda teacher: _validator(config, store, teacher, validation, validated),
        )  # fmt: skip
    receipt = _keep(store, published, receipt_path, trained.result, trained.processor)
    trained.checkpoints.clear()
    return receipt


def follow_launched(config: RunConfig, published: Manifest, receipt_path: str) -> None:
    """Train along with the first of the processes that torchrun started; stores nothing."""
    store = Store(config.root, config.runtime.scratch)
    with launched(device_name(config.runtime.device)) as (processes, device):
        _train(config, store, published, receipt_path, processes, device)


def _follow(
    config: RunConfig, published: Manifest, receipt_path: str, rank: int, size: int, meeting: str
) -> None:
    """Train along with the process that started this one, on the only device that this one sees."""
    device = torch.device(device_name("auto"))
    store = Store(config.root, config.runtime.scratch)
    with met(device, meeting, rank, size) as processes:
        _train(config, store, published, receipt_path, processes, device)


def _processes(
    config: RunConfig, work: Work
) -> AbstractContextManager[tuple[Processes, torch.device]]:
    """The processes that train, and the device of this one."""
    device, devices = device_name(config.runtime.device), config.runtime.devices
    if is_launched():
        return launched(device)
    if len(devices) > 1:
        return started(devices, work)
    return nullcontext((ALONE, torch.device(devices[0] if devices else device)))


@dataclass(frozen=True, slots=True)
class _Trained:
    result: TrainingResult
    processor: WhisperProcessor
    checkpoints: StoreCheckpoints


def _train(
    config: RunConfig,
    store: Store,
    published: Manifest,
    receipt_path: str,
    processes: Processes,
    device: torch.device,
    on_step: OnStep | None = None,
    on_rows: OnRows = ignored,
    scoring: Callable[[LoadedWhisper], Validator | None] | None = None,
) -> _Trained:
    """Train in this process; `scoring` makes the score of a student of the teacher."""
    # only what training needs of it is moved to the device
    teacher = load_whisper(config.label.teacher, "float32", "cpu")
    processor = WhisperProcessor(teacher.feature_extractor, teacher.tokenizer)
    examples = _examples(config, store, published, SpecialTokens.of(teacher.tokenizer))
    checkpoints = StoreCheckpoints(store, f"{receipt_path.rsplit('/', 1)[0]}/checkpoints")
    outlook = Outlook.of_content(config, published.content)
    validator = None if scoring is None else scoring(teacher)
    cache = partial(_cache, config, store, num_on_this_machine(processes))
    is_cached = outlook.why_not_cached is None
    needs_last_states = config.distil.kl_weight > 0 and not config.distil.hidden_state_weight
    result = distil(
        teacher.model,
        processor,
        examples,
        (),
        config.distil.model_copy(update={"num_steps": outlook.num_steps}),
        Execution(
            device=device,
            micro_batch_size=config.runtime.micro_batch_size,
            num_read_threads=config.runtime.workers,
            checkpoint_every_s=60 * config.runtime.checkpoint_every_minutes,
            encoder_cache=cache(teacher.model.model.encoder) if is_cached else None,
            teacher_cache=cache(teacher.model.model) if is_cached and needs_last_states else None,
            recomputes=config.runtime.gradient_checkpointing,
            compiles=config.runtime.compile,
            processes=processes,
        ),
        checkpoints,
        on_step=on_step,
        on_rows=on_rows,
        validate=validator,
    )
    return _Trained(result, processor, checkpoints)


def _validator(
    config: RunConfig,
    store: Store,
    teacher: LoadedWhisper,
    validation: Sequence[tuple[str, FileRef]],
    on_validation: OnValidation,
) -> Validator | None:
    """The word error rate on a sample of `validation`; None if there is none."""
    speech = read_validation_speech(
        store,
        validation,
        num_windows=config.distil.num_validation_windows,
        window_samples=teacher.window_samples,
        seed=config.distil.seed,
    )
    return Validator(config, store, teacher, speech, on_validation) if speech else None


def _examples(
    config: RunConfig, store: Store, published: Manifest, special: SpecialTokens
) -> ExampleSource:
    return training_examples(config.distil, published.content.entries, store.fetch, special)


def _cache(config: RunConfig, store: Store, num_sharing: int, module: nn.Module) -> OutputCache:
    return OutputCache(
        store.scratch_folder() / FOLDER,
        round(config.runtime.encoder_cache_gb * 1e9),
        module,
        config.distil.dtype,
        num_sharing=num_sharing,
    )


def _keep(
    store: Store,
    published: Manifest,
    receipt_path: str,
    result: TrainingResult,
    processor: WhisperProcessor,
) -> Receipt:
    """Store the student in a folder named by the digest of its weights, then the receipt."""
    above = receipt_path.rsplit("/", 1)[0]
    with TemporaryDirectory(dir=store.scratch_folder()) as temporary:
        folder = Path(temporary)
        with silent_transformers():
            save_student(result.student, processor, folder)
        (folder / TRAINING_FILE).write_text(to_lines(result.rows), encoding="utf-8")
        weights = _put(store, folder / _WEIGHTS, above, by_digest=True)
        parent = weights.path.rsplit("/", 1)[0]
        others = sorted(path for path in folder.iterdir() if path.name != _WEIGHTS)
        beside = tuple(_put(store, path, parent, by_digest=False) for path in others)
    num_windows = published.content.num_windows
    receipt = Receipt(
        stage="distil",
        fingerprint=above.rsplit("/", 1)[-1],
        key=ShardKey("all", published.name, published.number),
        source_digest=published.digest,
        output=weights,
        beside=beside,
        counts=Counts(rows_in=num_windows, rows_out=num_windows),
        hours=published.totals["all"].hours,
        recorded={
            "best_step": result.best_steps[0],
            **({"averaged_steps": sorted(result.best_steps)} if result.best_steps[1:] else {}),
            "validation_wer_percent": result.score.value if result.score else None,
            "waiting_percent": round(result.waiting_percent, 2),
            "padding_percent": round(result.padding_percent, 2),
            "manifest": f"{published.name}/{published.number}",
            **(result.score.details if result.score else {}),
        },
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if store.put_if_absent(receipt_path, receipt.encode()):
        return receipt
    return Receipt.parse(store.read(receipt_path), receipt_path)


def _put(store: Store, local: Path, folder: str, *, by_digest: bool) -> FileRef:
    with store.sink(folder) as sink:
        with local.open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                sink.write(chunk)
        parent = f"{folder}/student-{sink.sha256[:8]}" if by_digest else folder
        return store.keep(sink, f"{parent}/{local.name}")

"""Trains the student of a manifest and stores it; resumes after interruption."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from configs.schema import RunConfig
from storage.checkpoints import StoreCheckpoints
from storage.manifest import Manifest
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.distil.outlook import Outlook
from tasks.distil.parallel.members import Work, is_launched, launched, met, started
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.distil.student import save_student
from tasks.distil.train import OnStep, distil
from tasks.distil.training import TrainingResult, Validate
from tasks.distil.validation import Validation, validate
from tasks.distil.validation_speech import read_validation_speech
from tasks.reading.reader import ManifestReader
from tasks.whisper.device import device_name
from tasks.whisper.encoding.cache import EncoderCache
from tasks.whisper.engines import require_whisper
from tasks.whisper.model import LoadedWhisper, load_whisper, silent_transformers
from tasks.whisper.tokens import SpecialTokens
from tasks.whisper.whisper import WhisperEngine

_WEIGHTS: Final = "model.safetensors"
_METRICS: Final = "training.jsonl"


def make_student_of(
    config: RunConfig,
    store: Store,
    published: Manifest,
    receipt_path: str,
    validation: Sequence[tuple[str, FileRef]],
    on_step: OnStep | None = None,
) -> Receipt:
    """Train the student of a manifest, resuming from its latest checkpoint, and store it.

    `validation` are normalised shards of held-out speech, each with its set; the weights with the
    lowest word error rate on them, averaged over the sets, are stored. All files are below the
    folder of `receipt_path`, which is named by the student's fingerprint. Trains in a process for
    each of `runtime.devices`, or as the first of those that torchrun started. Raises what
    `tasks.distil.train.distil` raises, and `UserError` if the manifest has no training data or the
    teacher is not a Whisper model.
    """
    require_whisper(config.label)
    work = partial(_follow, config, published, receipt_path)
    validations: list[Validation] = []
    with _processes(config, work) as (processes, device):
        trained = _train(
            config, store, published, receipt_path, processes, device, on_step,
            lambda teacher: _word_error_rate(config, store, teacher, validation, validations),
        )  # fmt: skip
    receipt = _keep(store, published, receipt_path, trained.result, validations, trained.processor)
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
    scoring: Callable[[LoadedWhisper], Validate | None] | None = None,
) -> _Trained:
    """Train in this process; `scoring` makes the score of a student of the teacher."""
    # only what training needs of it is moved to the device
    teacher = load_whisper(config.label.teacher, "float32", "cpu")
    processor = WhisperProcessor(teacher.feature_extractor, teacher.tokenizer)
    examples = _examples(config, store, published, SpecialTokens.of(teacher.tokenizer))
    checkpoints = StoreCheckpoints(store, f"{receipt_path.rsplit('/', 1)[0]}/checkpoints")
    outlook = Outlook.of(config, examples.num_examples, published.totals["all"].hours)
    result = distil(
        teacher.model,
        processor,
        examples,
        (),
        config.distil.model_copy(update={"num_steps": outlook.num_steps}),
        device=device,
        micro_batch_size=config.runtime.micro_batch_size,
        checkpoints=checkpoints,
        encoder_cache=_encoder_cache(config, store, teacher, outlook),
        checkpoint_every_s=60 * config.runtime.checkpoint_every_minutes,
        num_read_threads=config.runtime.workers,
        on_step=on_step,
        validate=None if scoring is None else scoring(teacher),
        processes=processes,
    )
    return _Trained(result, processor, checkpoints)


def _word_error_rate(
    config: RunConfig,
    store: Store,
    teacher: LoadedWhisper,
    validation: Sequence[tuple[str, FileRef]],
    validations: list[Validation],
) -> Validate | None:
    """The word error rate on a sample of `validation`, each added to `validations`."""
    speech = read_validation_speech(
        store,
        validation,
        num_windows=config.distil.num_validation_windows,
        window_samples=teacher.window_samples,
        seed=config.distil.seed,
    )

    def word_error_rate(student: WhisperForConditionalGeneration) -> float:
        as_heard = LoadedWhisper(
            model=student,
            feature_extractor=teacher.feature_extractor,
            tokenizer=teacher.tokenizer,
        )
        engine = WhisperEngine(as_heard, config.runtime.label_batch_size)
        validations.append(validate(config, engine, speech))
        return validations[-1].wer_percent

    return word_error_rate if speech else None


def _examples(
    config: RunConfig, store: Store, published: Manifest, special: SpecialTokens
) -> ManifestReader:
    return ManifestReader(
        [entry for entry in published.content.entries if entry.num_windows],
        store.fetch,
        special,
        seed=config.distil.seed,
        timestamp_probability=config.distil.timestamp_probability,
        previous_text_probability=config.distil.previous_text_probability,
    )


def _encoder_cache(
    config: RunConfig, store: Store, teacher: LoadedWhisper, outlook: Outlook
) -> EncoderCache | None:
    if outlook.why_not_cached is not None:
        return None
    limit_bytes = round(config.runtime.encoder_cache_gb * 1e9)
    folder = store.scratch_folder() / "encoder-cache"
    return EncoderCache(folder, limit_bytes, teacher.model.model.encoder, config.distil.dtype)


def _keep(
    store: Store,
    published: Manifest,
    receipt_path: str,
    result: TrainingResult,
    validations: Sequence[Validation],
    processor: WhisperProcessor,
) -> Receipt:
    """Store the student in a folder named by the digest of its weights, then the receipt.

    All `validations` are of the same utterances; there is none if training was resumed at its end.
    """
    above = receipt_path.rsplit("/", 1)[0]
    with TemporaryDirectory(dir=store.scratch_folder()) as temporary:
        folder = Path(temporary)
        with silent_transformers():
            save_student(result.student, processor, folder)
        rows = (json.dumps(asdict(row)) for row in result.rows)
        (folder / _METRICS).write_text("\n".join(rows) + "\n", encoding="utf-8")
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
            "best_step": result.best_step,
            "validation_wer_percent": result.best_score,
            "waiting_percent": round(result.waiting_percent, 2),
            "padding_percent": round(result.padding_percent, 2),
            "manifest": f"{published.name}/{published.number}",
            **_validated_on(validations, result.best_score),
        },
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if store.put_if_absent(receipt_path, receipt.encode()):
        return receipt
    return Receipt.parse(store.read(receipt_path), receipt_path)


def _validated_on(validations: Sequence[Validation], best_score: float | None) -> dict[str, Any]:
    """The validation speech, and the rates by set of the weights that are stored.

    Those are not known if the training was resumed since.
    """
    if not validations:
        return {}
    found: dict[str, Any] = {
        "num_validation_utterances": validations[-1].num_utterances,
        "validation_excluded": validations[-1].excluded,
    }
    of_best = [one.by_set for one in validations if one.wer_percent == best_score]
    return found | ({"validation_wer_percent_by_set": of_best[0]} if of_best else {})


def _put(store: Store, local: Path, folder: str, *, by_digest: bool) -> FileRef:
    with store.sink(folder) as sink:
        with local.open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                sink.write(chunk)
        parent = f"{folder}/student-{sink.sha256[:8]}" if by_digest else folder
        return store.keep(sink, f"{parent}/{local.name}")

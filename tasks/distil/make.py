"""Trains the student of a manifest and stores it; resumes after interruption."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from configs.schema import RunConfig
from storage.checkpoints import StoreCheckpoints
from storage.manifest import Manifest
from storage.outcome import Outcome
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.distil.student import save_student
from tasks.distil.train import OnStep, distil
from tasks.distil.training import TrainingResult
from tasks.evaluate.metrics import summarise
from tasks.evaluate.shard import measure_shard
from tasks.reading.reader import ManifestReader
from tasks.whisper.engine import Engine
from tasks.whisper.engines import require_whisper
from tasks.whisper.model import LoadedWhisper, load_whisper, silent_transformers
from tasks.whisper.tokens import SpecialTokens
from tasks.whisper.whisper import WhisperEngine

_WEIGHTS: Final = "model.safetensors"
_METRICS: Final = "training.jsonl"
_BATCH_ROWS: Final = 16


def make_student_of(
    config: RunConfig,
    store: Store,
    published: Manifest,
    receipt_path: str,
    validation: Sequence[tuple[str, FileRef]],
    on_step: OnStep | None = None,
) -> Receipt:
    """Train the student of a manifest, resuming from its latest checkpoint, and store it.

    `validation` are normalised shards of held-out speech, each with its corpus; the weights with
    the lowest word error rate on them are stored. All files are below the folder of
    `receipt_path`, which is named by the student's fingerprint. Raises what
    `tasks.distil.train.distil` raises, and `UserError` if the manifest has no training data or the
    teacher is not a Whisper model.
    """
    require_whisper(config.label)
    teacher = load_whisper(config.label.teacher, "float32", config.runtime.device)
    processor = WhisperProcessor(teacher.feature_extractor, teacher.tokenizer)
    examples = ManifestReader(
        [entry for entry in published.content.entries if entry.num_windows],
        store.fetch,
        SpecialTokens.of(teacher.tokenizer),
        seed=config.distil.seed,
        timestamp_probability=config.distil.timestamp_probability,
        previous_text_probability=config.distil.previous_text_probability,
    )
    folder = receipt_path.rsplit("/", 1)[0]
    checkpoints = StoreCheckpoints(store, f"{folder}/checkpoints")
    held_out = _held_out(config, store, validation)

    def word_error_rate(student: WhisperForConditionalGeneration) -> float:
        as_heard = LoadedWhisper(
            model=student,
            feature_extractor=teacher.feature_extractor,
            tokenizer=teacher.tokenizer,
        )
        engine = WhisperEngine(as_heard, config.runtime.label_batch_size)
        return _word_error_rate(config, engine, held_out)

    result = distil(
        teacher.model,
        processor,
        examples,
        (),
        config.distil,
        device=teacher.model.device,
        micro_batch_size=config.runtime.micro_batch_size,
        checkpoints=checkpoints,
        on_step=on_step,
        validate=word_error_rate if held_out else None,
    )
    receipt = _keep(store, published, receipt_path, result, processor)
    checkpoints.clear()
    return receipt


def _held_out(
    config: RunConfig, store: Store, validation: Sequence[tuple[str, FileRef]]
) -> list[tuple[str, list[pa.RecordBatch]]]:
    """The first utterances of each corpus, equally many per corpus."""
    by_corpus: dict[str, list[FileRef]] = {}
    for corpus, file in validation:
        by_corpus.setdefault(corpus, []).append(file)
    num_per_corpus = -(-config.distil.num_validation_windows // max(1, len(by_corpus)))
    found: list[tuple[str, list[pa.RecordBatch]]] = []
    for corpus, files in by_corpus.items():
        batches: list[pa.RecordBatch] = []
        for file in files:
            missing = num_per_corpus - sum(batch.num_rows for batch in batches)
            if missing > 0:
                with store.fetch(file) as path:
                    rows = pq.ParquetFile(path).iter_batches(_BATCH_ROWS)
                    wanted = islice(rows, -(-missing // _BATCH_ROWS))
                    batches += [batch.slice(0, missing) for batch in wanted]
        found.append((corpus, batches))
    return found


def _word_error_rate(
    config: RunConfig,
    student: Engine,
    held_out: Sequence[tuple[str, list[pa.RecordBatch]]],
) -> float:
    """Macro-average over the corpora in percent, by which the paper chooses its checkpoints."""
    rates: list[float] = []
    for corpus, batches in held_out:
        outcomes = measure_shard(
            batches,
            student,
            corpus_of_run(config, corpus).clean,
            config.label,
            config.score,
            num_threads=config.runtime.workers,
        )
        measured = [
            _as_table(outcome) for outcome in outcomes if isinstance(outcome, pa.RecordBatch)
        ]
        result = summarise(measured, model="student", num_parameters=0, decoder_layers=0)
        if result.wer_percent is not None:
            rates.append(result.wer_percent)
    return sum(rates) / len(rates) if rates else math.nan


def _as_table(outcome: Outcome) -> pa.Table:
    return pa.Table.from_batches([outcome])


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
            "manifest": f"{published.name}/{published.number}",
        },
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if store.put_if_absent(receipt_path, receipt.model_dump_json(indent=1).encode()):
        return receipt
    return Receipt.model_validate_json(store.read(receipt_path))


def _put(store: Store, local: Path, folder: str, *, by_digest: bool) -> FileRef:
    with store.sink(folder) as sink:
        with local.open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                sink.write(chunk)
        parent = f"{folder}/student-{sink.sha256[:8]}" if by_digest else folder
        return store.keep(sink, f"{parent}/{local.name}")

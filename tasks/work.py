"""One shard of one stage: what it reads, the pure transform that it calls, and the commit."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import RunConfig, Teacher
from storage.commit import Commit
from storage.outcome import Outcome, Outcomes
from storage.receipt import FileRef, Receipt
from storage.receipts import Split
from storage.schema import row_ids
from storage.stage import Place, combined_digest, find_receipt
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.download.files import Files, RawFiles
from tasks.filter.evaluated import evaluated_speech
from tasks.filter.rules import FilterContext
from tasks.filter.shard import filter_shard
from tasks.index.shard import index_shard
from tasks.normalise.shard import normalise_shard
from tasks.plan.shard import plan_part
from tasks.score.shard import REFERENCE_COLUMNS, score_shard
from tasks.score.vocabulary import vocabulary
from tasks.stages import SPECS
from tasks.text.comparison import comparison_of, normaliser
from tasks.whisper.identity import teacher_identity

if TYPE_CHECKING:
    from tasks.whisper.teacher import Transcriber

_BATCH_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class Job:
    """One shard to make: where it goes, and the files that it is made from.

    `sources` are the digests that its receipt will name; `inputs` are upstream files by stage;
    `row_group` is the shard's place in the file of the plan. `student` is the model to measure in
    `evaluate`; None there means the teacher. `evaluation_index` are the files of what `filter` must
    not let through.
    """

    place: Place
    sources: tuple[str, ...]
    inputs: Mapping[str, FileRef]
    row_group: int = 0
    student: Receipt | None = None
    evaluation_index: tuple[FileRef, ...] = ()


@dataclass(frozen=True)
class _Reading:
    """What a transform yields, the ids of the rows that went into it, and what is recorded."""

    ids_in: list[str]
    outcomes: Outcomes
    recorded: Mapping[str, float | int | str] = field(default_factory=dict)


def run_job(config: RunConfig, job: Job) -> Receipt:
    """Make one shard, or return the receipt that stands.

    Raises `ShardError` when the shard cannot be made from its input, `IntegrityError` when an
    input is not what its receipt says, `TransientError` for faults that may pass.
    """
    store = Store(config.root, config.runtime.scratch)
    stage = job.place.stage
    if (done := find_receipt(store, job.place, combined_digest(job.sources))) is not None:
        return done
    started_s = perf_counter()
    recorded: dict[str, float | int | str] = {}
    with ExitStack() as open_files:
        reading = _READERS[stage](config, store, job, open_files)
        recorded.update(reading.recorded)
        commit = Commit(
            store=store,
            spec=SPECS[stage],
            place=job.place,
            sources=job.sources,
            ids_in=reading.ids_in,
            max_quarantined_percent=config.runtime.max_quarantined_percent,
            recorded=recorded,
        )
        # closed before the files are, so that no thread reads on when the commit has failed
        outcomes = open_files.enter_context(closing(_timed(reading.outcomes, started_s, recorded)))
        return commit(outcomes)


def run_plan(config: RunConfig, place: Place, archives: Sequence[Receipt]) -> Receipt:
    """Plan what the downloaded `archives` add to a split: the next part of its plan.

    Segments that an earlier part has stay where they are. Raises what `run_job` raises.
    """
    store = Store(config.root, config.runtime.scratch)
    corpus, settings = corpus_of_run(config, place.key.corpus), config.corpora[place.key.corpus]
    sources = tuple(archive.output.sha256 for archive in archives)
    if (done := find_receipt(store, place, combined_digest(sources))) is not None:
        return done
    earlier = Split.load(store, place.folder).receipts
    raw = RawFiles(store, archives, settings.mirror)
    part = plan_part(
        corpus.read(raw),
        split=place.key.split,
        known_ids=frozenset(_planned_ids(store, earlier)),
        first_shard=sum(len(receipt.planned) for receipt in earlier),
        target_shard_hours=config.plan.target_shard_hours,
        file_digests=raw.digests,
        self_contained=corpus.self_contained,
    )
    commit = Commit(
        store=store,
        spec=SPECS["plan"],
        place=place,
        sources=sources,
        ids_in=None,
        max_quarantined_percent=config.runtime.max_quarantined_percent,
        planned=part.shards,
    )
    return commit(iter(part.outcomes))


def _planned_ids(store: Store, parts: Sequence[Receipt]) -> Iterator[str]:
    for part in parts:
        for file in (part.output, part.rejected):
            if file is not None:
                with store.fetch(file) as path:
                    yield from pq.read_table(path, columns=["id"]).column("id").to_pylist()


def _timed(
    outcomes: Outcomes, started_s: float, recorded: dict[str, float | int | str]
) -> Generator[Outcome, None, None]:
    yield from outcomes
    recorded["seconds"] = round(perf_counter() - started_s, 3)


def _normalise(config: RunConfig, store: Store, job: Job, open_files: ExitStack) -> _Reading:
    plan = pq.ParquetFile(open_files.enter_context(store.fetch(job.inputs["plan"])))
    segments = plan.read_row_group(job.row_group)

    key, settings = job.place.key, config.normalise
    if corpus_of_run(config, key.corpus).whole_recordings:
        settings = settings.model_copy(update={"max_duration_s": math.inf})
    files = Files(store, config.corpora[key.corpus].mirror)
    outcomes = normalise_shard(segments, files.audio, key, settings)
    return _Reading(row_ids(segments), outcomes)


def _label(config: RunConfig, store: Store, job: Job, open_files: ExitStack) -> _Reading:
    # torch takes seconds to import, and most stages do without
    from tasks.label.shard import label_shard
    from tasks.whisper.engines import load_engine

    audio = _audio(job, store, open_files)
    outcomes = label_shard(
        _batches(audio),
        load_engine(config.label, config.runtime),
        config.label,
        num_threads=config.runtime.workers,
    )
    draft = config.runtime.label_draft
    recorded: dict[str, float | int | str] = {
        "most_at_once": config.runtime.label_batch_size,
        "draft": teacher_identity(draft) if draft else "none",
    }
    return _Reading(row_ids(audio.read(columns=["id"])), outcomes, recorded)


def _score(config: RunConfig, store: Store, job: Job, open_files: ExitStack) -> _Reading:
    labels = pq.read_table(open_files.enter_context(store.fetch(job.inputs["label"])))
    # the audio in the same file is not read, so neither is it hashed again
    audio = open_files.enter_context(store.fetch(job.inputs["normalise"], verify=False))
    references = pq.read_table(audio, columns=REFERENCE_COLUMNS)
    outcomes = score_shard(
        labels,
        references,
        corpus_of_run(config, job.place.key.corpus).clean,
        comparison_of(config.score, config.label),
        lambda: vocabulary(config.label.teacher),
    )
    return _Reading(row_ids(labels), outcomes)


def _filter(config: RunConfig, store: Store, job: Job, open_files: ExitStack) -> _Reading:
    evidence = pq.read_table(open_files.enter_context(store.fetch(job.inputs["score"])))
    corpus = corpus_of_run(config, job.place.key.corpus)
    settings = config.filter_of(corpus.name)
    evaluated = evaluated_speech(config, settings, job.evaluation_index, job.inputs.get("index"))
    known = FilterContext(licence=corpus.licence, evaluated=evaluated)
    return _Reading(row_ids(evidence), filter_shard(evidence, settings, known))


def _index(config: RunConfig, store: Store, job: Job, open_files: ExitStack) -> _Reading:
    audio = _audio(job, store, open_files)
    outcomes = index_shard(
        _batches(audio),
        corpus_of_run(config, job.place.key.corpus).clean,
        normaliser(comparison_of(config.score, config.label).normaliser),
    )
    return _Reading(row_ids(audio.read(columns=["id"])), outcomes)


def _evaluate(config: RunConfig, store: Store, job: Job, open_files: ExitStack) -> _Reading:
    from tasks.evaluate.shard import measure_shard
    from tasks.whisper.engines import whisper_engine

    audio = _audio(job, store, open_files)
    corpus = corpus_of_run(config, job.place.key.corpus)
    outcomes = measure_shard(
        _batches(audio, 1 if corpus.whole_recordings else _BATCH_ROWS),
        whisper_engine(load_model(config, store, job.student), config.runtime.label_batch_size),
        corpus.clean,
        config.label,
        config.score,
        whole_recordings=corpus.whole_recordings,
        num_threads=config.runtime.workers,
    )
    return _Reading(row_ids(audio.read(columns=["id"])), outcomes)


def load_model(config: RunConfig, store: Store, student: Receipt | None) -> "Transcriber":
    """The teacher, or the student of a receipt, loaded once a process.

    Raises `IntegrityError` when a file of the student is not what its receipt says, `UserError`
    for a teacher that is no Whisper.
    """
    from tasks.whisper.engines import refuse_other_than_whisper
    from tasks.whisper.teacher import load_teacher

    refuse_other_than_whisper(config.label)
    settings = config.label.teacher
    if student is not None:
        folder = store.local_folder((student.output, *student.beside))
        settings = Teacher(path=str(folder))
    return load_teacher(settings, config.label.dtype, config.runtime.device)


def _audio(job: Job, store: Store, open_files: ExitStack) -> pq.ParquetFile:
    """The normalised shard of a job; with a buffer all that was read would stay in memory."""
    path = open_files.enter_context(store.fetch(job.inputs["normalise"]))
    return pq.ParquetFile(path, pre_buffer=False)


def _batches(file: pq.ParquetFile, num_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(num_rows)


_READERS: Mapping[str, Callable[[RunConfig, Store, Job, ExitStack], _Reading]] = {
    "normalise": _normalise,
    "label": _label,
    "score": _score,
    "index": _index,
    "filter": _filter,
    "evaluate": _evaluate,
}

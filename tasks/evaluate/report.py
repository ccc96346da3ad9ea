"""The report that compares teacher and student: their errors and their speed."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import RunConfig
from storage.receipt import FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.audio import Samples, decode_flac
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.long_form import cut_at_pauses
from tasks.evaluate.metrics import ModelResult, macro_average, summarise, word_errors
from tasks.evaluate.result import Measured, Report, load_report, report_path
from tasks.evaluate.timing import decoder_layers, measure_speed, num_parameters
from tasks.job import row_batches
from tasks.text.comparison import WordErrors
from tasks.whisper.model import LoadedWhisper

_NAMES: Final = ("teacher", "student")
_NUM_TIMED: Final = 96
_BATCH_ROWS: Final = 16


def make_report(
    config: RunConfig,
    store: Store,
    models: tuple[LoadedWhisper, LoadedWhisper],
    measured: tuple[Measured, Measured],
    coverage: Mapping[str, Coverage],
    audio: Sequence[FileRef],
    student: Receipt,
) -> Report:
    """Summarise the measurements of both models, time them, and store the report.

    `coverage` is that of each corpus, `audio` are the normalised shards that were measured. If a
    report on the same measurements exists it is returned instead, because timings differ from run
    to run.
    """
    path = report_path(config.publish.name, *measured, coverage)
    if (existing := load_report(store, path)) is not None:
        return existing
    # batch size 1 as in the paper's table 5; in larger batches the encoder dominates
    speed = measure_speed(
        dict(zip(_NAMES, models, strict=True)),
        _first_windows(store, audio, models[0].window_samples),
        config.label,
        batch_sizes=(1,),
        num_rounds=config.evaluate.num_timing_rounds,
    )
    seconds = [one.seconds for one in speed if one.part == "end_to_end"]
    teacher_result, student_result = (
        _result(store, name, model, _all(by_corpus), elapsed_s)
        for name, model, by_corpus, elapsed_s in zip(_NAMES, models, measured, seconds, strict=True)
    )
    by_split = _wer_by(store, measured, lambda key: f"{key.corpus}/{key.split}")
    report = Report(
        teacher=teacher_result,
        student=student_result,
        relative_speed=seconds[0] / seconds[1],
        by_corpus=_wer_by(store, measured, lambda key: key.corpus),
        by_split=by_split,
        mean_wer_percent={
            name: macro_average(rates[name] for rates in by_split.values()) for name in _NAMES
        },
        coverage=Coverage.total(coverage.values()),
        coverage_by_corpus=coverage,
        student_folder=student.output.path.rsplit("/", 1)[0],
    )
    if store.put_if_absent(path, report.encode()):
        return report
    return Report.parse(store.read(path), path)


def _all(measured: Measured) -> list[Receipt]:
    return [receipt for receipts in measured.values() for receipt in receipts]


def _wer_by(
    store: Store, measured: tuple[Measured, Measured], set_of: Callable[[ShardKey], str]
) -> Mapping[str, Mapping[str, float | None]]:
    """The word error rate of both models in percent, by the set that a shard belongs to."""
    found: dict[str, dict[str, float | None]] = {}
    for name, by_corpus in zip(_NAMES, measured, strict=True):
        sets: dict[str, list[Receipt]] = {}
        for receipt in _all(by_corpus):
            sets.setdefault(set_of(receipt.key), []).append(receipt)
        for of_set, receipts in sets.items():
            errors = sum(map(word_errors, _tables(store, receipts)), WordErrors())
            found.setdefault(of_set, {})[name] = errors.wer_percent
    return found


def _tables(store: Store, receipts: Sequence[Receipt]) -> Iterator[pa.Table]:
    for receipt in receipts:
        with store.fetch(receipt.output) as path:
            yield pq.read_table(path)


def _result(
    store: Store, name: str, model: LoadedWhisper, receipts: Sequence[Receipt], seconds: float
) -> ModelResult:
    return summarise(
        _tables(store, receipts),
        model=name,
        num_parameters=num_parameters(model),
        decoder_layers=decoder_layers(model),
        seconds=seconds,
    )


def _first_windows(store: Store, audio: Sequence[FileRef], window_samples: int) -> list[Samples]:
    """The first windows to transcribe, of recordings cut at pauses where they are longer."""
    with closing(_waveforms(store, audio)) as waveforms:
        windows = (
            waveform[start:end]
            for waveform in waveforms
            for start, end in cut_at_pauses(waveform, window_samples)
        )
        return list(islice(windows, _NUM_TIMED))


def _waveforms(store: Store, audio: Sequence[FileRef]) -> Generator[Samples, None, None]:
    for file in audio:
        with store.fetch(file) as path:
            for batch in row_batches(pq.ParquetFile(path, pre_buffer=False), _BATCH_ROWS):
                for row in batch.column("audio").to_pylist():
                    yield decode_flac(row["bytes"])

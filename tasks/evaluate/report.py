"""The report that compares teacher and student: their errors and their speed."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import pyarrow.parquet as pq

from configs.schema import RunConfig
from storage.receipt import FileRef, Receipt
from storage.store import Store
from tasks.audio import Samples, decode_flac
from tasks.evaluate.metrics import ModelResult, summarise
from tasks.evaluate.result import Measured, Report, load_report, report_path
from tasks.evaluate.timing import compare_speed, decoder_layers, num_parameters
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine

_NUM_TIMED: Final = 96
_BATCH_ROWS: Final = 16


def make_report(
    config: RunConfig,
    store: Store,
    models: tuple[LoadedWhisper, LoadedWhisper],
    measured: tuple[Measured, Measured],
    audio: Sequence[FileRef],
    student: Receipt,
) -> Report:
    """Summarise the measurements of both models, time them, and store the report.

    `audio` are the normalised shards that were measured. If a report on the same measurements
    exists it is returned instead, because timings differ from run to run.
    """
    path = report_path(config.publish.name, *measured)
    if (existing := load_report(store, path)) is not None:
        return existing
    # batch size 1 as in the paper's table 5; in larger batches the encoder dominates
    teacher, student_model = (WhisperEngine(model, batch_size=1) for model in models)
    timing = compare_speed(
        teacher,
        student_model,
        _first_waveforms(store, audio),
        config.label,
        num_rounds=config.evaluate.num_timing_rounds,
    )
    seconds = (timing.teacher_s, timing.student_s)
    teacher_result, student_result = (
        _result(store, name, model, by_corpus, elapsed_s)
        for name, model, by_corpus, elapsed_s in zip(
            ("teacher", "student"), models, measured, seconds, strict=True
        )
    )
    report = Report(
        teacher=teacher_result,
        student=student_result,
        relative_speed=timing.relative_speed,
        by_corpus={
            corpus: {
                name: _result(store, name, model, {corpus: by_corpus[corpus]}, None).wer_percent
                for name, model, by_corpus in zip(
                    ("teacher", "student"), models, measured, strict=True
                )
            }
            for corpus in measured[0]
        },
        student_folder=student.output.path.rsplit("/", 1)[0],
    )
    if store.put_if_absent(path, report.model_dump_json(indent=1).encode()):
        return report
    return Report.model_validate_json(store.read(path))


def _result(
    store: Store, name: str, model: LoadedWhisper, by_corpus: Measured, seconds: float | None
) -> ModelResult:
    tables = []
    for receipt in (receipt for receipts in by_corpus.values() for receipt in receipts):
        with store.fetch(receipt.output) as path:
            tables.append(pq.read_table(path))
    return summarise(
        tables,
        model=name,
        num_parameters=num_parameters(model),
        decoder_layers=decoder_layers(model),
        seconds=seconds,
    )


def _first_waveforms(store: Store, audio: Sequence[FileRef]) -> list[Samples]:
    waveforms: list[Samples] = []
    for file in audio:
        if len(waveforms) < _NUM_TIMED:
            with store.fetch(file) as path:
                batches = pq.ParquetFile(path).iter_batches(_BATCH_ROWS, columns=["audio"])
                rows = (row for batch in batches for row in batch.column("audio").to_pylist())
                wanted = islice(rows, _NUM_TIMED - len(waveforms))
                waveforms += [decode_flac(row["bytes"]) for row in wanted]
    return waveforms

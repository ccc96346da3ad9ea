"""The results of an evaluation by set, as one Parquet file beside its report."""

from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import IntegrityError
from storage.store import Store
from tasks.evaluate.result import Report

_REPORT: Final = ".json"
_TOTALS: Final = ".parquet"

TOTALS: Final = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("condition", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),  # corpus/split
        pa.field("num_utterances", pa.int64(), nullable=False),
        pa.field("num_speakers", pa.int64(), nullable=False),
        pa.field("hours", pa.float64(), nullable=False),
        pa.field("num_reference_words", pa.int64(), nullable=False),
        pa.field("substitutions", pa.int64(), nullable=False),
        pa.field("deletions", pa.int64(), nullable=False),
        pa.field("insertions", pa.int64(), nullable=False),
        pa.field("num_reference_chars", pa.int64(), nullable=False),
        pa.field("char_errors", pa.int64(), nullable=False),
        pa.field("num_repeated_5grams", pa.int64(), nullable=False),
        pa.field("wer_percent", pa.float64()),
        pa.field("cer_percent", pa.float64()),
        pa.field("substitution_percent", pa.float64()),
        pa.field("deletion_percent", pa.float64()),
        pa.field("insertion_percent", pa.float64()),
        pa.field("wer_lower_percent", pa.float64()),  # of its 95 % interval
        pa.field("wer_upper_percent", pa.float64()),
    ]
)
"""A row per model, condition and set: `SetResult`, with the interval in two columns."""


def totals_of(report: Report) -> pa.Table:
    """The rows `sets` of a report as a table of the schema TOTALS."""
    rows = []
    for one in report.sets:
        lower, upper = one.wer_interval or (None, None)
        rows.append(
            one.model_dump(exclude={"wer_interval"})
            | {"wer_lower_percent": lower, "wer_upper_percent": upper}
        )
    return pa.Table.from_pylist(rows, schema=TOTALS)


def totals_path(report_path: str) -> str:
    """The path of the table that belongs to a report."""
    return report_path.removesuffix(_REPORT) + _TOTALS


def keep_totals(store: Store, report_path: str, report: Report) -> None:
    """Write the table of a report; one that is there is replaced, since it has the same rows.

    The report is to be stored after it, so that there is a table beside each report.
    """
    path = totals_path(report_path)
    with store.sink(path.rpartition("/")[0]) as sink:
        pq.write_table(totals_of(report), sink)
        store.keep(sink, path)


def verify_totals(store: Store, path: str) -> None:
    """Compare a table with its report.

    Raises `IntegrityError` if they differ or the report is damaged, `FileNotFoundError` if either
    is missing.
    """
    report = _report_of(store, path)
    try:
        found = pq.read_table(pa.BufferReader(store.read(path)))
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise IntegrityError(f"{path} is damaged: {error}", path) from error
    if not found.equals(totals_of(report)):
        raise IntegrityError(f"{path} is damaged: it has other rows than its report", path)


def restore_totals(store: Store, path: str) -> None:
    """Write a table again from its report; without one it is deleted, and made with the next."""
    try:
        report = _report_of(store, path)
    except FileNotFoundError:
        store.delete(path)
    else:
        keep_totals(store, _report_path(path), report)


def _report_path(totals: str) -> str:
    return totals.removesuffix(_TOTALS) + _REPORT


def _report_of(store: Store, totals: str) -> Report:
    path = _report_path(totals)
    return Report.parse(store.read(path), path)

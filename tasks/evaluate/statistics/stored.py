"""The stored transcripts of a run as samples, from which all statistics start; needs no model."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from storage.receipt import Receipt
from storage.store import Store
from tasks.evaluate.result import Measured
from tasks.evaluate.statistics.sample import COLUMNS, Sample


def samples_of(store: Store, measured: Iterable[Measured]) -> Iterator[Sample]:
    """A sample for each model, condition and set that has utterances, in the order of `measured`.

    Raises `IntegrityError` for a file that is missing or damaged.
    """
    groups: dict[tuple[str, str, str], list[Receipt]] = {}
    for one in measured:
        groups.setdefault((one.model, one.condition, one.set), []).append(one.receipt)
    for (model, condition, name), receipts in groups.items():
        tables = tables_of(store, receipts)
        sample = Sample.of(tables, model=model, condition=condition, set=name)
        if len(sample.ids):
            yield sample


def tables_of(store: Store, receipts: Iterable[Receipt]) -> Iterator[pa.Table]:
    """The columns of stored transcripts that samples are made of; raises as `samples_of`."""
    for receipt in receipts:
        with store.fetch(receipt.output) as path:
            yield pq.read_table(path, columns=list(COLUMNS))

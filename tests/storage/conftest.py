"""A small stage and its commits."""

from collections.abc import Callable, Iterable

import pyarrow as pa
import pytest

from storage.commit import Commit
from storage.outcome import Outcome
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place, TableFormat
from storage.store import Store

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("text", pa.string()),
    ]
)

Batch = Callable[..., pa.RecordBatch]
MakeCommit = Callable[..., Receipt]


@pytest.fixture
def batch() -> Batch:
    """A batch of rows with the given ids."""

    def make(*ids: str, duration_s: float = 1.0, text: str = "") -> pa.RecordBatch:
        rows = [{"id": row_id, "duration_s": duration_s, "text": text} for row_id in ids]
        return pa.RecordBatch.from_pylist(rows, schema=SCHEMA)

    return make


@pytest.fixture
def commit(store: Store) -> MakeCommit:
    """Commits outcomes as shard `index` of the split corpus/train, made from `sources`."""

    def make(
        outcomes: Iterable[Outcome],
        *,
        ids_in: Iterable[str] | None,
        index: int = 0,
        sources: tuple[str, ...] = ("a" * 64,),
        schema: pa.Schema = SCHEMA,
        max_quarantined_percent: float = 1.0,
        **table: object,
    ) -> Receipt:
        place = Place(stage="stage", fingerprint="f00d", key=ShardKey("corpus", "train", index))
        return Commit(
            store=store,
            table=TableFormat(schema=schema, **table),
            place=place,
            sources=sources,
            ids_in=None if ids_in is None else list(ids_in),
            max_quarantined_percent=max_quarantined_percent,
        )(iter(outcomes))

    return make

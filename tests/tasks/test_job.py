"""Reading the rows of a shard in bounded memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.job import row_batches


def test_no_batch_spans_row_groups(tmp_path: Path) -> None:
    """A row group has a limited size, but 64 recordings of an hour would not fit into memory."""
    path = tmp_path / "shard.parquet"
    with pq.ParquetWriter(path, pa.schema([("id", pa.int64())])) as writer:
        for ids in ([0], [1, 2, 3], [4], [5, 6]):
            writer.write_table(pa.table({"id": ids}))
    batches = [batch.column("id").to_pylist() for batch in row_batches(pq.ParquetFile(path), 2)]
    assert batches == [[0], [1, 2], [3], [4], [5, 6]]

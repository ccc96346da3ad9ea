"""The commit of a shard: write rows, check that none is lost, and store the receipt last."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ShardError
from storage.outcome import Created, Outcomes, Rejected
from storage.receipt import Counts, FileRef, PlannedShard, Receipt
from storage.schema import REJECTED, row_ids
from storage.sink import HashingSink
from storage.stage import Place, TableFormat, combined_digest
from storage.store import Store


@dataclass(kw_only=True)
class Commit:
    """Writes what a transform yields, checks it, and stores the receipt last.

    `ids_in` are the ids of the input rows; None for a stage that has no input table, as the plan.
    """

    store: Store
    table: TableFormat
    place: Place
    sources: Sequence[str]
    ids_in: Sequence[str] | None
    max_quarantined_percent: float
    planned: Sequence[PlannedShard] = ()
    recorded: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, outcomes: Outcomes) -> Receipt:
        """Commit one shard and return its receipt.

        Raises `ShardError` if rows are lost, duplicated or of another schema, or if more than
        `max_quarantined_percent` of them are quarantined. If several writers commit the same
        shard, the first receipt is kept and all of them return it.
        """
        source_digest = combined_digest(self.sources)
        tally = _Tally(self.ids_in)
        with self.store.sink(self.place.folder) as sink:
            with _BatchWriter(sink, self.table, self.place.stage) as writer:
                for outcome in outcomes:
                    if isinstance(outcome, pa.RecordBatch):
                        writer.write(outcome)
                        tally.written(outcome)
                    elif isinstance(outcome, Rejected):
                        tally.rejected(outcome)
                    else:
                        tally.created(outcome)
            counts = tally.counts()
            self._refuse_too_many_quarantined(counts, tally)
            output = self.store.keep(sink, self.place.file_path(sink.sha256, "parquet"))
        receipt = Receipt(
            stage=self.place.stage,
            fingerprint=self.place.fingerprint,
            key=self.place.key,
            source_digest=source_digest,
            output=output.model_copy(update={"num_rows": writer.num_rows}),
            rejected=self._write_rejected(tally.rejected_rows),
            counts=counts,
            hours=sum(shard.hours for shard in self.planned) or tally.seconds / 3600,
            planned=tuple(self.planned),
            sources=tuple(self.sources),
            recorded=dict(self.recorded),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        path = self.place.receipt_path(source_digest)
        if self.store.put_if_absent(path, receipt.encode()):
            return receipt
        return Receipt.parse(self.store.read(path), path)

    def _write_rejected(self, rows: Sequence[Rejected]) -> FileRef | None:
        if not rows:
            return None
        columns = [[getattr(row, name) for row in rows] for name in REJECTED.names]
        with self.store.sink(self.place.folder) as sink:
            pq.write_table(pa.table(columns, schema=REJECTED), sink, compression="zstd")
            kept = self.store.keep(sink, self.place.file_path(sink.sha256, "quarantine.parquet"))
        return kept.model_copy(update={"num_rows": len(rows)})

    def _refuse_too_many_quarantined(self, counts: Counts, tally: "_Tally") -> None:
        num_quarantined = sum(counts.quarantined.values())
        percent = 100 * num_quarantined / max(1, counts.rows_in + counts.created)
        if percent > self.max_quarantined_percent:
            first = next(row for row in tally.rejected_rows if row.outcome == "quarantined")
            raise ShardError(
                f"{num_quarantined} of {counts.rows_in} rows ({percent:.1f} %) are unreadable or"
                f" invalid, expected at most {self.max_quarantined_percent:g} %; the first is"
                f" {first.id}: {first.reason} {first.detail}; repair the source, or raise"
                " runtime.max_quarantined_percent"
            )


class _Tally:
    """Counts rows by id; raises `ShardError` for lost, duplicated and unknown rows."""

    def __init__(self, ids_in: Sequence[str] | None) -> None:
        self._known = None if ids_in is None else set(ids_in)
        self._num_in = 0 if ids_in is None else len(ids_in)
        self._num_created = 0
        self._seen: set[str] = set()
        self._num_out = 0
        self.rejected_rows: list[Rejected] = []
        self.seconds = 0.0
        if self._known is not None and len(self._known) != self._num_in:
            raise ShardError(
                f"the input has {self._num_in} rows but only {len(self._known)} different ids"
            )

    def written(self, batch: pa.RecordBatch) -> None:
        ids = row_ids(batch)
        self._account(ids)
        self._num_out += len(ids)
        if "duration_s" in batch.schema.names:
            self.seconds += sum(batch.column("duration_s").to_pylist())

    def rejected(self, row: Rejected) -> None:
        self._account([row.id])
        self.rejected_rows.append(row)

    def created(self, rows: Created) -> None:
        self._num_created += len(rows.ids)
        if self._known is None:
            return
        for row_id in rows.ids:
            if row_id in self._known:
                raise ShardError(f"the row {row_id!r} is declared as created but already exists")
            self._known.add(row_id)

    def counts(self) -> Counts:
        """The counts; raises `ShardError` if an input row has no outcome."""
        if self._known is not None and (missing := self._known - self._seen):
            raise ShardError(f"{len(missing)} rows have no outcome, the first is {min(missing)!r}")
        found = len(self._seen) - self._num_created
        num_in = found if self._known is None else self._num_in
        reasons = {"dropped": Counter[str](), "quarantined": Counter[str]()}
        for row in self.rejected_rows:
            reasons[row.outcome][row.reason] += 1
        return Counts(
            rows_in=num_in,
            created=self._num_created,
            rows_out=self._num_out,
            dropped=dict(sorted(reasons["dropped"].items())),
            quarantined=dict(sorted(reasons["quarantined"].items())),
        )

    def _account(self, ids: Sequence[str]) -> None:
        for row_id in ids:
            if row_id in self._seen:
                raise ShardError(f"the row {row_id!r} has two outcomes")
            if self._known is not None and row_id not in self._known:
                raise ShardError(f"the row {row_id!r} has an outcome but is not in the input")
            self._seen.add(row_id)


class _BatchWriter:
    """Collects batches into row groups and writes them to one Parquet file."""

    def __init__(self, sink: HashingSink, table: TableFormat, stage: str) -> None:
        self._table, self._stage = table, stage
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self.num_rows = 0
        plain = [field.name for field in table.schema if not pa.types.is_struct(field.type)]
        # a dictionary of large binary values would be as large as the values
        self._writer = pq.ParquetWriter(
            sink, table.schema, compression="zstd", use_dictionary=plain, write_statistics=plain
        )

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.schema.equals(self._table.schema):
            raise ShardError(
                f"the stage {self._stage} yielded the columns {_columns(batch.schema)};"
                f" expected {_columns(self._table.schema)}"
            )
        for column in batch.schema:
            if not column.nullable and batch.column(column.name).null_count:
                raise ShardError(
                    f"the stage {self._stage} yielded a row without {column.name},"
                    " which its schema requires"
                )
        batch.validate()
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        limit = self._table.row_group_bytes
        if limit is None or self._pending_bytes >= limit:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending)
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
            self.num_rows += table.num_rows
        self._pending, self._pending_bytes = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def _columns(schema: pa.Schema) -> str:
    return ", ".join(
        f"{column.name} {column.type}{'' if column.nullable else ' not null'}" for column in schema
    )

"""What was measured of each window, and which windows were kept, as Arrow tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from configs.load import load_config
from configs.schema import RunConfig
from storage.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.state.shard_state import ShardState
    from storage.store import Store

_Stage = Literal["score", "filter"]
_SHARD_COLUMNS: Final = ("corpus", "split", "shard")


def read_evidence(
    config: RunConfig | str | Path,
    *,
    corpora: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> "pa.Table":
    """The evidence on every window that is scored so far: one row per window.

    The columns are `corpus`, `split` (both string) and `shard` (int32), then those of
    `tasks.score.schema.EVIDENCE`: durations in seconds (`duration_s`), error rates in per cent of
    the reference's words (`wer_percent`; null where the reference has no words), and `utterances`,
    a list with the same evidence on each utterance of the window.

    Args:
        config: a configuration, or what `load_config` reads one from.
        corpora: the corpora to read, in this order; None: all of the configuration.
        columns: the columns to read, beside `corpus`, `split` and `shard`; None: all.

    Returns:
        The rows in the order of corpora, splits and shards; no rows where nothing is scored yet.

    Raises:
        ConfigError: the configuration is not valid.
        UserError: a corpus or a column does not exist, or the root cannot be read.
        IntegrityError: a file does not match the digest in its receipt.
    """
    return evidence_batches(config, corpora=corpora, columns=columns).read_all()


def evidence_batches(
    config: RunConfig | str | Path,
    *,
    corpora: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> "pa.RecordBatchReader":
    """The rows of `read_evidence` batch by batch, for evidence that does not fit into memory.

    One shard is open at a time. Arguments and errors are those of `read_evidence`; errors in
    reading are raised while the batches are consumed.
    """
    from tasks.score.schema import EVIDENCE

    return _batches(config, "score", EVIDENCE, corpora, columns)


def read_kept(
    config: RunConfig | str | Path,
    *,
    corpora: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> "pa.Table":
    """The windows that the filter keeps: one row per window, joined to evidence by `window_id`.

    The columns are `corpus`, `split` and `shard`, then those of `tasks.filter.schema.KEPT`:
    `window_id`, `utterance_ids`, `duration_s` in seconds, and `cut`, which is null unless the
    window was cut down to some of its utterances. Arguments and errors are those of
    `read_evidence`.
    """
    from tasks.filter.schema import KEPT

    return _batches(config, "filter", KEPT, corpora, columns).read_all()


def _batches(
    config: RunConfig | str | Path,
    stage: _Stage,
    stored: "pa.Schema",
    corpora: Sequence[str] | None,
    columns: Sequence[str] | None,
) -> "pa.RecordBatchReader":
    import pyarrow as pa

    from flows.server.credentials import use_credentials
    from flows.state.corpus_state import corpus_states
    from storage.store import Store

    settings = config if isinstance(config, RunConfig) else load_config(config)
    if settings.runtime.s3_credentials is not None:
        use_credentials(settings.runtime.s3_credentials)
    names = _known("corpora", corpora, list(settings.corpora))
    wanted = _known("columns", columns, [*_SHARD_COLUMNS, *stored.names])
    chosen = [name for name in wanted if name not in _SHARD_COLUMNS]
    store = Store(settings.root, settings.runtime.scratch)
    states = {state.corpus.name: state for state in corpus_states(settings, store)}
    shards = [shard for name in names for shard in states[name].shards("train")]
    schema = pa.schema(
        [
            pa.field("corpus", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("shard", pa.int32(), nullable=False),
            *(stored.field(name) for name in chosen),
        ]
    )
    done = [shard for shard in shards if stage in shard.receipts]
    return pa.RecordBatchReader.from_batches(schema, _read(store, stage, done, schema))


def _known(what: str, wanted: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    """`wanted`, or all that are `known`; raises `UserError` for one that is not."""
    if wanted is None:
        return known
    if isinstance(wanted, str):
        raise UserError(f"{what} is the text {wanted!r}; give a list, such as [{wanted!r}]")
    if unknown := [name for name in wanted if name not in known]:
        raise UserError(f"{what}: no {unknown[0]!r}; there are {', '.join(known)}")
    return wanted


def _read(
    store: "Store", stage: _Stage, shards: Sequence["ShardState"], schema: "pa.Schema"
) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = schema.names[len(_SHARD_COLUMNS) :]
    for shard in shards:
        with (
            store.fetch(shard.receipts[stage].output) as path,
            pq.ParquetFile(path) as parquet,
        ):
            for batch in parquet.iter_batches(columns=columns):
                rows = batch.num_rows
                key = shard.key
                where = [
                    pa.array([key.corpus] * rows, pa.string()),
                    pa.array([key.split] * rows, pa.string()),
                    pa.array([key.index] * rows, pa.int32()),
                ]
                values = [batch.column(name) for name in columns]
                yield pa.record_batch([*where, *values], schema=schema)

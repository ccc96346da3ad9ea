"""The rows that a run left out for one reason, wherever that was: read from the files beside."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.commands.screen import OUT
from flows.state.corpus_state import CorpusState, corpus_states
from storage.errors import UserError
from storage.receipt import Receipt
from storage.store import Store

_STAGES: Final = ("normalise", "label", "score", "filter")


class Row(BaseModel):
    """A row that did not come out of a stage, and why."""

    model_config = ConfigDict(frozen=True)

    id: str
    corpus: str
    split: str
    stage: str
    outcome: str
    reason: str
    detail: str


def read_rejections(
    config: RunConfig, store: Store, reason: str, corpus: str | None = None
) -> Iterator[Row]:
    """The rows that the run as it is left out for a reason, stage by stage within each corpus.

    Only files whose receipt counts such rows are read. Raises `UserError` for a corpus that is not
    in the run, and for a reason that nothing was left out for, with those that there are.
    """
    if corpus is not None and corpus not in config.corpora:
        raise UserError(f"no corpus {corpus!r} in the run; it has {', '.join(config.corpora)}")
    receipts = [
        (state, receipt)
        for state in corpus_states(config, store)
        if corpus in (None, state.corpus.name)
        for receipt in _receipts(state)
    ]
    counts = Counter[str]()
    for _, receipt in receipts:
        counts.update(receipt.counts.dropped)
        counts.update(receipt.counts.quarantined)
    if not counts[reason]:
        known = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        raise UserError(
            f"nothing was left out for {reason!r}; there is {known or 'nothing at all'}"
        )
    for state, receipt in receipts:
        yield from _rows(state, receipt, reason)


def _receipts(state: CorpusState) -> Iterator[Receipt]:
    for split in state.splits():
        yield from state.plan_receipts(split)
        shards = state.shards_of(split)
        for stage in _STAGES:
            yield from (shard.receipts[stage] for shard in shards if stage in shard.receipts)


def _rows(state: CorpusState, receipt: Receipt, reason: str) -> Iterator[Row]:
    counts = receipt.counts
    if receipt.rejected is None or not {**counts.dropped, **counts.quarantined}.get(reason):
        return
    # nothing is made from what is read, so it is not hashed
    with state.store.fetch(receipt.rejected, verify=False) as path:
        rows = pq.read_table(path).to_pylist()
    for row in rows:
        if row["reason"] == reason:
            yield Row(
                corpus=receipt.key.corpus, split=receipt.key.split, stage=receipt.stage, **row
            )


def print_rejections(rows: Sequence[Row], limit: int) -> None:
    """A line for each row, at most `limit` of them, and how many there are."""
    for row in rows[:limit]:
        where = f"{row.corpus}/{row.split}"
        OUT.print(
            f"{row.id}  {where}  {row.stage}: {row.detail}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    more = len(rows) - limit
    shown = f", {more} more with --limit {len(rows)}" if more > 0 else ""
    OUT.print(f"{len(rows)} rows: {rows[0].reason}{shown}", markup=False)

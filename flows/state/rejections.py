"""The rows that the stages of a run rejected for one reason."""

from collections import Counter
from collections.abc import Iterator

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.status import relisted_advice
from storage.errors import UserError
from storage.receipt import Receipt
from storage.store import Store
from tasks.stages import SHARD_STAGES


class Rejection(BaseModel):
    """A row that a stage rejected, and why."""

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
) -> Iterator[Rejection]:
    """The rows of the current shards that were rejected for a reason, by corpus and stage.

    Only files whose receipt counts such rows are read. Raises `UserError` for a corpus that is not
    in the run, and for a reason for which nothing was rejected, with the reasons that occur.
    """
    if corpus is not None and corpus not in config.corpora:
        raise UserError(f"no corpus {corpus!r} in the run; it has {', '.join(config.corpora)}")
    states = corpus_states(config, store)
    receipts = [
        (state, receipt)
        for state in states
        if corpus in (None, state.corpus.name)
        for receipt in _receipts(state)
    ]
    counts = Counter[str]()
    for _, receipt in receipts:
        counts.update(receipt.counts.dropped)
        counts.update(receipt.counts.quarantined)
    if not counts[reason]:
        if advice := relisted_advice(states):
            raise UserError(f"nothing is known of {reason!r}: {advice}")
        known = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        raise UserError(
            f"nothing was rejected for {reason!r}; the reasons are {known or 'none at all'}"
        )
    for state, receipt in receipts:
        yield from _rejections(state, receipt, reason)


def _receipts(state: CorpusState) -> Iterator[Receipt]:
    for split in state.splits():
        yield from state.plan_receipts(split)
        shards = state.shards_of(split)
        for stage in SHARD_STAGES:
            yield from (shard.receipts[stage] for shard in shards if stage in shard.receipts)


def _rejections(state: CorpusState, receipt: Receipt, reason: str) -> Iterator[Rejection]:
    counts = receipt.counts
    if receipt.rejected is None or not {**counts.dropped, **counts.quarantined}.get(reason):
        return
    with state.store.fetch(receipt.rejected) as path:
        rows = pq.read_table(path).to_pylist()
    for row in rows:
        if row["reason"] == reason:
            yield Rejection(
                corpus=receipt.key.corpus, split=receipt.key.split, stage=receipt.stage, **row
            )

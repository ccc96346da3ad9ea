"""The rows that a run left out for one reason, wherever that was: read from the files beside."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.chain import Chain, chains
from flows.screen import OUT
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


def read_left_out(
    config: RunConfig, store: Store, reason: str, corpus: str | None = None
) -> Iterator[Row]:
    """The rows that the run as it is left out for a reason, stage by stage within each corpus.

    Only files whose receipt counts such rows are read. Raises `UserError` for a corpus that is not
    in the run, and for a reason that nothing was left out for, with those that there are.
    """
    if corpus is not None and corpus not in config.corpora:
        raise UserError(f"no corpus {corpus!r} in the run; it has {', '.join(config.corpora)}")
    receipts = [
        (chain, receipt)
        for chain in chains(config, store)
        if corpus in (None, chain.corpus.name)
        for receipt in _receipts(chain)
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
    for chain, receipt in receipts:
        yield from _rows(chain, receipt, reason)


def _receipts(chain: Chain) -> Iterator[Receipt]:
    for split in chain.splits():
        yield from chain.plan_receipts(split)
        links = chain.links_of(split)
        for stage in _STAGES:
            yield from (link.receipts[stage] for link in links if stage in link.receipts)


def _rows(chain: Chain, receipt: Receipt, reason: str) -> Iterator[Row]:
    counts = receipt.counts
    if receipt.left_out is None or not {**counts.dropped, **counts.quarantined}.get(reason):
        return
    # nothing is made from what is read, so it is not hashed
    with chain.store.fetch(receipt.left_out, verify=False) as path:
        rows = pq.read_table(path).to_pylist()
    for row in rows:
        if row["reason"] == reason:
            yield Row(
                corpus=receipt.key.corpus, split=receipt.key.split, stage=receipt.stage, **row
            )


def print_left_out(rows: Sequence[Row], limit: int) -> None:
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

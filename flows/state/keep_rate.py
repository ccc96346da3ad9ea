"""Warnings about corpora that keep an unusual share of their hours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.publication import find_current, training_shards
from storage import manifest
from storage.manifest import Manifest
from storage.store import Store
from tasks.paper.settings import PAPER_FILTERED_PERCENT

_ENOUGH_CORPORA: Final = 3
_NUM_PAST: Final = 5  # manifests
_POINTS: Final = 10.0
"""A change of the kept share by more percentage points than this is unusual."""

_THRESHOLD: Final = "filter.max_wer_percent"
_FRACTION: Final = "filter.fraction"


@dataclass(frozen=True, slots=True)
class Share:
    """The share of its labelled hours that a corpus keeps, at its threshold.

    Before `filter.fraction`, which leaves out some of what is good enough.
    """

    corpus: str
    kept_percent: float
    max_wer_percent: float


def kept_shares(states: Sequence[CorpusState]) -> list[Share]:
    """The share of each corpus that has filtered shards, from their receipts."""
    found: list[Share] = []
    for state, shards in training_shards(states).items():
        done = [shard.receipts for shard in shards if shard.is_complete]
        labelled_hours = sum(receipts["label"].hours for receipts in done)
        if labelled_hours:
            kept_hours = sum(receipts["filter"].hours for receipts in done)
            percent = 100 * kept_hours / labelled_hours / state.filter.fraction
            found.append(Share(state.corpus.name, percent, state.filter.max_wer_percent))
    return found


def past_shares(
    config: RunConfig, store: Store, states: Sequence[CorpusState]
) -> Mapping[str, list[float]]:
    """The percentages that each corpus kept in earlier manifests, at its current threshold."""
    name = config.publish.name
    current = find_current(config, store, states)
    numbers = [n for n in manifest.numbers(store, name) if current is None or n < current.number]
    past = [manifest.load(store, name, number) for number in numbers[-_NUM_PAST:]]
    found = {corpus: list(_kept(past, corpus, config)) for corpus in config.corpora}
    return {corpus: shares for corpus, shares in found.items() if shares}


def _kept(past: Iterable[Manifest], corpus: str, config: RunConfig) -> Iterable[float]:
    threshold = config.filter_of(corpus).max_wer_percent
    for one in past:
        totals = one.totals.get(corpus)
        if totals is None or not totals.hours_heard:
            continue
        settings = one.content.settings(corpus)
        if settings.get(_THRESHOLD) == threshold:
            yield 100 * totals.hours / totals.hours_heard / settings.get(_FRACTION, 1.0)


def abnormal(shares: Sequence[Share], past: Mapping[str, Sequence[float]]) -> list[str]:
    """A line for each corpus whose share is unusual.

    A share is compared with the median of the corpus's earlier ones, from which it may differ by
    10 percentage points. A corpus without earlier shares is compared with the median of the run's
    corpora if there are at least three, else with the paper's share at that threshold (linearly
    interpolated); half to twice of that is usual.
    """
    remarks: list[str] = []
    for share in shares:
        if share.corpus in past:
            usual = median(past[share.corpus])
            if abs(share.kept_percent - usual) > _POINTS:
                remarks.append(_remark(share, f"before it was {usual:.1f} %"))
            continue
        if len(shares) >= _ENOUGH_CORPORA:
            usual = median(one.kept_percent for one in shares)
            compared_with = "the median of the run's corpora"
        else:
            usual, compared_with = _paper_percent(share.max_wer_percent), "the paper's share"
        if not usual / 2 <= share.kept_percent <= 2 * usual:
            is_low = share.kept_percent < usual
            relation = "less than half of" if is_low else "more than twice"
            remarks.append(_remark(share, f"{relation} {compared_with}, {usual:.1f} %"))
    return remarks


def _remark(share: Share, comparison: str) -> str:
    return (
        f"abnormal: {share.corpus} keeps {share.kept_percent:.1f} % of its hours at"
        f" {share.max_wer_percent:g} %, {comparison}"
    )


def _paper_percent(max_wer_percent: float) -> float:
    percents, lost = list(PAPER_FILTERED_PERCENT), list(PAPER_FILTERED_PERCENT.values())
    return 100 - float(np.interp(max_wer_percent, percents, lost))


def remarks(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> list[str]:
    """Warnings about the share that each corpus keeps with its current shards."""
    return abnormal(kept_shares(states), past_shares(config, store, states))

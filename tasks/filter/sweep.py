"""What each threshold would keep of a table of evidence: the rules of `filter`, asked together.

Knows evidence and rules; reads no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.schema import Filter
from storage.schema import EVIDENCE
from tasks.filter.rule import Rule
from tasks.filter.rules import rules, wer

PAPER_FILTERED_PERCENT: Final = {
    5.0: 60.3,
    10.0: 45.4,
    15.0: 32.0,
    20.0: 24.2,
    40.0: 11.9,
    80.0: 6.2,
    100.0: 0.0,
}
"""By threshold in percent, rising, the percentage left out (arXiv 2311.00430, table 10)."""

_AMOUNT: Final = ("utterance_ids", "duration_s")


@dataclass(frozen=True, slots=True)
class Amount:
    """So many windows with so many utterances and hours; adds up over shards."""

    windows: int = 0
    utterances: int = 0
    hours: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.windows + other.windows,
            self.utterances + other.utterances,
            self.hours + other.hours,
        )

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(
            self.windows - other.windows,
            self.utterances - other.utterances,
            self.hours - other.hours,
        )


def columns_asked(settings: Filter) -> list[str]:
    """The columns of EVIDENCE that `sweep` reads: those without which a rule cannot answer."""
    empty = EVIDENCE.empty_table()
    chosen = rules(settings)
    return [
        name
        for name in EVIDENCE.names
        if name in _AMOUNT or not all(_answers(rule, empty.drop_columns([name])) for rule in chosen)
    ]


def _answers(rule: Rule, evidence: pa.Table) -> bool:
    try:
        rule.drops(evidence)
    except KeyError:
        return False
    return True


def sweep(
    evidence: pa.Table, settings: Filter, max_wer_percents: Sequence[float]
) -> tuple[Amount, list[Amount]]:
    """All of `evidence`, and what `settings` keep of it with each threshold in place of their own.

    `evidence` has at least the columns `columns_asked(settings)`. The rules beside the threshold
    are asked once, for no threshold changes what they say.
    """
    utterances = pc.list_value_length(evidence.column("utterance_ids")).to_numpy()
    durations_s = evidence.column("duration_s").to_numpy()

    def amount(taken: np.ndarray) -> Amount:
        return Amount(
            int(np.count_nonzero(taken)),
            int(utterances.sum(where=taken, dtype=np.int64)),
            float(durations_s.sum(where=taken)) / 3600,
        )

    passed = np.ones(evidence.num_rows, np.bool_)
    for rule in rules(settings):
        if rule.reason != wer(0).reason:
            passed &= ~rule.drops(evidence).to_numpy()
    kept = [
        amount(passed & ~wer(percent).drops(evidence).to_numpy()) for percent in max_wer_percents
    ]
    return amount(np.ones(evidence.num_rows, np.bool_)), kept

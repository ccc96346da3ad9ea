"""How much of the held-out speech was measured, and why the rest was not; from receipts alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

from pydantic import model_validator

from storage.receipt import NumRows, Receipt
from storage.record import Record

BEYOND_LIMIT: Final = "beyond_limit_hours"
"""The reason of utterances in shards after the limit on hours."""


class Coverage(Record):
    """Annotated utterances of held-out speech: measured, or excluded for a counted reason.

    `num_annotated` = `num_utterances` + `excluded`, checked on construction. `num_utterances` were
    measured. Segments that `normalise` cut from a recording count beside the recording.
    """

    num_annotated: NumRows = 0
    num_utterances: NumRows = 0
    excluded: Mapping[str, NumRows] = {}

    @model_validator(mode="after")
    def _every_utterance_is_counted(self) -> Self:
        num_excluded = sum(self.excluded.values())
        if self.num_annotated != self.num_utterances + num_excluded:
            raise ValueError(
                f"utterances are lost or doubled: {self.num_annotated} annotated is not"
                f" {self.num_utterances} measured + {num_excluded} excluded"
            )
        return self

    @classmethod
    def of(
        cls, plans: Sequence[Receipt], normalised: Sequence[Receipt], measured: Sequence[Receipt]
    ) -> Self:
        """The coverage of a corpus.

        `plans` are all parts of the plans of its splits, `normalised` and `measured` the receipts
        of the shards that were measured.
        """
        excluded = Counter[str]()
        for receipt in (*plans, *normalised, *measured):
            excluded.update(receipt.counts.dropped)
            excluded.update(receipt.counts.quarantined)
        num_planned = sum(receipt.counts.rows_out for receipt in plans)
        num_taken = sum(receipt.counts.rows_in for receipt in normalised)
        excluded[BEYOND_LIMIT] += num_planned - num_taken
        return cls(
            num_annotated=sum(receipt.counts.rows_in for receipt in plans)
            + sum(receipt.counts.created for receipt in normalised),
            num_utterances=sum(receipt.counts.rows_out for receipt in measured),
            excluded=_without_zeros(excluded),
        )

    @classmethod
    def total(cls, parts: Iterable["Coverage"]) -> Self:
        """The coverage of several corpora together."""
        parts = list(parts)
        excluded = Counter[str]()
        for part in parts:
            excluded.update(part.excluded)
        return cls(
            num_annotated=sum(part.num_annotated for part in parts),
            num_utterances=sum(part.num_utterances for part in parts),
            excluded=_without_zeros(excluded),
        )


def _without_zeros(counts: Counter[str]) -> dict[str, int]:
    return {reason: counts[reason] for reason in sorted(counts) if counts[reason]}

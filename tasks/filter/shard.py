"""One shard's evidence becomes the list of its windows that are kept."""

from collections.abc import Iterator

import pyarrow as pa

from configs.schema import Filter
from storage.outcome import LeftOut, Outcomes, dropped
from storage.schema import KEPT
from tasks.filter.rule import Rule
from tasks.filter.rules import reason_places, rules


def filter_shard(evidence: pa.Table, settings: Filter) -> Outcomes:
    """The kept windows (KEPT) of a shard's evidence (EVIDENCE), in its order.

    Each utterance of a dropped window is dropped with the reason of the first of `rules` that the
    window breaks. A window is kept or dropped as a whole.
    """
    chosen = rules(settings)
    places = reason_places(evidence, chosen)
    kept = evidence.filter(pa.array([place is None for place in places], pa.bool_()))
    for batch in kept.select(KEPT.names).cast(KEPT).to_batches():
        if batch.num_rows:
            yield batch
    for row_number, place in enumerate(places):
        if place is not None:
            yield from _drop(evidence.slice(row_number, 1), chosen[place])


def _drop(window: pa.Table, rule: Rule) -> Iterator[LeftOut]:
    row = window.to_pylist()[0]
    for utterance_id in row["utterance_ids"]:
        yield dropped(utterance_id, rule.reason, rule.detail(row))

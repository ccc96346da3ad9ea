"""One shard's evidence becomes the list of its windows that are kept."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from configs.schema import Filter
from storage.outcome import Outcomes, Rejected, dropped
from tasks.filter.decide import AMBIGUOUS, NEIGHBOUR, Flags, Members, Places, Unit, decide
from tasks.filter.decide import KEPT as IS_KEPT
from tasks.filter.rule import Row, Rule
from tasks.filter.rules import FilterContext, rules
from tasks.filter.schema import KEPT


def filter_shard(evidence: pa.Table, settings: Filter, known: FilterContext) -> Outcomes:
    """The kept windows (KEPT) of a shard's evidence (EVIDENCE), in its order.

    Each utterance that is dropped has the reason of the first of `rules` that it or its window
    breaks. With `unit: window` those that share a window with it are dropped as well
    (`window_of_dropped_utterance`); with `unit: utterance` its window is cut down to the others,
    less those whose words may be its (`ambiguous_boundary`).
    """
    chosen = rules(settings, known)
    members = Members.of(evidence)
    places = decide(members, chosen, settings.unit)
    is_kept = places == IS_KEPT
    num_kept = np.bincount(members.parents, is_kept, members.windows.num_rows)
    num_members = np.bincount(members.parents, minlength=members.windows.num_rows)
    is_whole = num_kept == num_members
    kept_rows = [
        _kept(row, flags) for row, flags in _rows(members, (num_kept > 0) & ~is_whole, is_kept)
    ]
    yield from _batches(members.windows, is_whole, kept_rows)
    for row, at in _rows(members, ~is_whole, places):
        yield from _rejected(row, at, chosen, settings.unit)


def _rows(
    members: Members, chosen: Flags, of_utterances: Flags | Places
) -> Iterator[tuple[Row, list[int]]]:
    """The chosen windows as rows, each with what holds for its utterances."""
    rows = members.windows.filter(pa.array(chosen)).to_pylist()
    ends = np.searchsorted(members.parents, np.flatnonzero(chosen), "right")
    for row, end in zip(rows, ends.tolist(), strict=True):
        yield row, of_utterances[end - len(row["utterances"]) : end].tolist()


def _batches(windows: pa.Table, is_whole: Flags, cut: Sequence[Row]) -> Iterator[pa.RecordBatch]:
    """The windows that are whole and those that are cut, in the order of the evidence."""
    whole = windows.filter(pa.array(is_whole)).select(["window_id", "utterance_ids", "duration_s"])
    whole = whole.append_column(KEPT.field("cut"), pa.nulls(whole.num_rows, KEPT.field("cut").type))
    found = pa.concat_tables([whole.cast(KEPT), pa.Table.from_pylist(list(cut), schema=KEPT)])
    order = {name: place for place, name in enumerate(windows.column("window_id").to_pylist())}
    names = found.column("window_id").to_pylist()
    if cut:
        found = found.take(np.argsort([order[name] for name in names]))
    for batch in found.combine_chunks().to_batches():
        if batch.num_rows:
            yield batch


def _kept(row: Row, is_kept: Sequence[int]) -> Row:
    left = [one for one, is_left in zip(row["utterances"], is_kept, strict=True) if is_left]
    return {
        "window_id": row["window_id"],
        "utterance_ids": [one["id"] for one in left],
        "duration_s": sum(one["duration_s"] for one in left),
        "cut": {
            "pseudo_text": " ".join(one["pseudo_text"] for one in left if one["pseudo_text"]),
            "num_prompt_tokens": row["num_prompt_tokens"],
            "zero_time_id": row["zero_time_id"],
            "token_spans": [[one["token_start"], one["token_end"]] for one in left],
        },
    }


def _rejected(
    row: Row, places: Sequence[int], chosen: Sequence[Rule], unit: Unit
) -> Iterator[Rejected]:
    """What is dropped of a window, with its reasons."""
    with_whom = next(
        f"with {one['id']}: {chosen[place].reason}"
        for place, one in zip(places, row["utterances"], strict=True)
        if place >= 0
    )
    for place, one in zip(places, row["utterances"], strict=True):
        if place == NEIGHBOUR:
            yield dropped(one["id"], "window_of_dropped_utterance", with_whom)
        elif place == AMBIGUOUS:
            detail = "its words may be those of a dropped neighbour"
            yield dropped(one["id"], "ambiguous_boundary", detail)
        elif place != IS_KEPT:
            rule = chosen[place]
            asked = row if rule.is_of_windows(unit) else one
            yield dropped(one["id"], rule.reason, rule.detail(asked))

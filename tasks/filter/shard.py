"""Filters a shard: from evidence to the kept windows."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from configs.schema import Filter
from storage.outcome import Outcomes, Rejected, dropped
from tasks.filter.decide import AMBIGUOUS, NEIGHBOUR, Decisions, Flags, Members, Unit, decide
from tasks.filter.decide import KEPT as IS_KEPT
from tasks.filter.rule import Row, Rule
from tasks.filter.rules import FilterContext, rules
from tasks.filter.schema import KEPT


def filter_shard(evidence: pa.Table, settings: Filter, context: FilterContext) -> Outcomes:
    """The kept windows (KEPT) of the evidence of a shard (EVIDENCE), in its order.

    A dropped utterance has the reason of the first rule that drops it or its window. With
    `unit: window` the other utterances of its window are dropped too
    (`window_of_dropped_utterance`). With `unit: utterance` the window is cut down to the others,
    except those with an `ambiguous_boundary`.
    """
    chosen = rules(settings, context)
    members = Members.of(evidence)
    decisions = decide(members, chosen, settings.unit)
    is_kept = decisions == IS_KEPT
    num_kept = np.bincount(members.parents, is_kept, members.windows.num_rows)
    num_members = np.bincount(members.parents, minlength=members.windows.num_rows)
    is_whole = num_kept == num_members
    kept_rows = [
        _kept(row, flags) for row, flags in _rows(members, (num_kept > 0) & ~is_whole, is_kept)
    ]
    yield from _batches(members.windows, is_whole, kept_rows)
    for row, row_decisions in _rows(members, ~is_whole, decisions):
        yield from _rejected(row, row_decisions, chosen, settings.unit)


def _rows(
    members: Members, chosen: Flags, of_utterances: Flags | Decisions
) -> Iterator[tuple[Row, list[int]]]:
    """The chosen windows as rows, each with the values of its utterances."""
    rows = members.windows.filter(pa.array(chosen)).to_pylist()
    ends = np.searchsorted(members.parents, np.flatnonzero(chosen), "right")
    for row, end in zip(rows, ends.tolist(), strict=True):
        yield row, of_utterances[end - len(row["utterances"]) : end].tolist()


def _batches(windows: pa.Table, is_whole: Flags, cut: Sequence[Row]) -> Iterator[pa.RecordBatch]:
    """Whole and cut windows, in the order of the evidence."""
    whole = windows.filter(pa.array(is_whole)).select(["window_id", "utterance_ids", "duration_s"])
    whole = whole.append_column(KEPT.field("cut"), pa.nulls(whole.num_rows, KEPT.field("cut").type))
    kept = pa.concat_tables([whole.cast(KEPT), pa.Table.from_pylist(list(cut), schema=KEPT)])
    order = {name: index for index, name in enumerate(windows.column("window_id").to_pylist())}
    names = kept.column("window_id").to_pylist()
    if cut:
        kept = kept.take(np.argsort([order[name] for name in names]))
    for batch in kept.combine_chunks().to_batches():
        if batch.num_rows:
            yield batch


def _kept(row: Row, is_kept: Sequence[int]) -> Row:
    kept = [one for one, is_one in zip(row["utterances"], is_kept, strict=True) if is_one]
    return {
        "window_id": row["window_id"],
        "utterance_ids": [one["id"] for one in kept],
        "duration_s": sum(one["duration_s"] for one in kept),
        "cut": {
            "pseudo_text": " ".join(one["pseudo_text"] for one in kept if one["pseudo_text"]),
            "num_prompt_tokens": row["num_prompt_tokens"],
            "zero_time_id": row["zero_time_id"],
            "token_spans": [[one["token_start"], one["token_end"]] for one in kept],
        },
    }


def _rejected(
    row: Row, decisions: Sequence[int], chosen: Sequence[Rule], unit: Unit
) -> Iterator[Rejected]:
    """The dropped utterances of a window."""
    first_reason = next(
        f"with {one['id']}: {chosen[decision].reason}"
        for decision, one in zip(decisions, row["utterances"], strict=True)
        if decision >= 0
    )
    for decision, one in zip(decisions, row["utterances"], strict=True):
        if decision == NEIGHBOUR:
            yield dropped(one["id"], "window_of_dropped_utterance", first_reason)
        elif decision == AMBIGUOUS:
            detail = "its words may belong to a dropped neighbour"
            yield dropped(one["id"], "ambiguous_boundary", detail)
        elif decision != IS_KEPT:
            rule = chosen[decision]
            judged = row if rule.applies_to_windows(unit) else one
            yield dropped(one["id"], rule.reason, rule.detail(judged))

"""The history of one utterance, from its source to the decision of the filter."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.shard_state import ShardState
from flows.state.status import relisted_advice
from storage.errors import UserError
from storage.receipt import FileRef, Receipt
from storage.schema import REJECTED
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.base import NoReference
from tasks.plan.schema import PLAN
from tasks.stages import stage_named
from tasks.text.alignment import align

_OWN_FIELDS: Final = ("normalise", "label", "score", "filter")
"""Stages whose rows have fields of their own in an `UtteranceHistory`."""

_SOURCE: Final = ("file", "offset", "size", "column", "row", "channel", "start_s", "end_s")
_MORE: Final = re.compile(r"\+\d+$")
_NUM_SUGGESTIONS: Final = 3
_NUM_CANDIDATES: Final = 1_000

Row = dict[str, Any]


class Decision(BaseModel):
    """The outcome of an utterance, and the stage that decided it.

    `outcome` is kept, dropped, quarantined, waiting, held_out (used only for evaluation), or
    not_taken (beyond `limit_hours`).
    """

    model_config = ConfigDict(frozen=True)

    outcome: str
    stage: str
    reason: str = ""
    detail: str = ""


class UtteranceHistory(BaseModel):
    """What is stored about an utterance; None: it did not reach that stage."""

    model_config = ConfigDict(frozen=True)

    id: str
    corpus: str
    split: str
    shard: str | None  # None: rejected by the plan
    source: Row | None
    utterance: Row | None
    reference: str | None  # by the text rules of the corpus
    no_reference: str | None  # the text rule that rejected it
    label: Row | None
    evidence: Row | None  # of its window
    own_evidence: Row | None  # of the utterance itself, which may share its window
    alignment: list[Row] | None  # of its own reference and hypothesis
    stages: dict[str, Row]  # its row in each other stage
    mark: str | None  # of a listener, for it or its window: exclude or keep
    decision: Decision


@dataclass(frozen=True)
class _PlannedUtterance:
    """An id in a part of a plan; `row` is None if the plan rejected it."""

    state: CorpusState
    split: str
    part: Receipt
    id: str
    row: Row | None

    @property
    def name(self) -> str:
        return f"{self.state.corpus.name}/{self.split}"


def read_history(
    config: RunConfig, store: Store, id: str, split: str | None = None
) -> UtteranceHistory:
    """The history of an utterance, of a segment cut from one, or of the first one of a window.

    `split`, as `corpus/split`, selects one of several splits that have the id. Raises `UserError`
    for an unknown id, with similar ones, and for an id that several splits have.
    """
    states = corpus_states(config, store)
    parts = [
        (state, name, part)
        for state in states
        for name in state.splits()
        if split in (None, f"{state.corpus.name}/{name}")
        for part in state.plan_receipts(name)
    ]
    ids = {id, _MORE.sub("", id)}
    found = [one for part in parts for one in _planned(store, *part, ids)]
    # a later part of a plan may have the row that an earlier one rejected
    planned = {(one.name, one.id) for one in found if one.row is not None}
    found = [one for one in found if one.row is not None or (one.name, one.id) not in planned]
    if not found:
        found = [one for part in parts for one in _segments(store, *part, _MORE.sub("", id))]
    if not found:
        raise UserError(_unknown(store, [part for _, _, part in parts], id, split))
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise UserError(f"{id!r} is in {names}; choose one with --split")
    return _history(config, store, found[0])


def _planned(
    store: Store, state: CorpusState, split: str, part: Receipt, ids: set[str]
) -> Iterator[_PlannedUtterance]:
    """Those of `ids` in one part of a split's plan."""
    for row in _rows(store, part.output, "id", ids, PLAN.names):
        yield _PlannedUtterance(state, split, part, row["id"], row)
    for row in _rows(store, part.rejected, "id", ids, REJECTED.names):
        yield _PlannedUtterance(state, split, part, row["id"], None)


def _segments(
    store: Store, state: CorpusState, split: str, part: Receipt, id: str
) -> Iterator[_PlannedUtterance]:
    """The utterance that a segment `id` was cut from: its id is a prefix of that of the segment."""
    prefixes = {id[:length] for length in range(1, len(id))}
    shards = {shard.key.index: shard for shard in state.shards_of(split)}
    for row in _rows(store, part.output, "id", prefixes, PLAN.names):
        shard = shards.get(row["shard"])
        receipt = shard.receipts.get("normalise") if shard else None
        if receipt is not None and any(
            _rows(store, file, "id", {id}, ["id"]) for file in (receipt.output, receipt.rejected)
        ):
            yield _PlannedUtterance(state, split, part, id, row)


def _unknown(store: Store, parts: Sequence[Receipt], id: str, split: str | None) -> str:
    prefix = id[: max(1, len(id) // 2)]
    candidates: list[str] = []
    for part in parts:
        with store.fetch(part.output) as path:
            ids = pq.read_table(path, columns=["id"]).column("id")
        candidates += ids.filter(pc.starts_with(ids, prefix)).slice(0, _NUM_CANDIDATES).to_pylist()
    close = get_close_matches(id, candidates, _NUM_SUGGESTIONS)
    hint = f"did you mean {', '.join(close)}?" if close else "no id is similar"
    return f"no planned utterance {id!r} in {split or 'the run'}; {hint}"


def _history(config: RunConfig, store: Store, found: _PlannedUtterance) -> UtteranceHistory:
    state, plan = found.state, found.row
    shards = {shard.key.index: shard for shard in state.shards_of(found.split)}
    shard = None if plan is None else shards.get(plan["shard"])
    rows = {} if shard is None else _by_stage(store, shard, found.id)
    utterance = rows.get("normalise")
    raw_text = (utterance or plan or {}).get("raw_text")
    reference = None if raw_text is None else state.corpus.clean(raw_text)
    evidence = rows.get("score")
    own = evidence and next(one for one in evidence["utterances"] if one["id"] == found.id)
    key = None if plan is None else ShardKey(state.corpus.name, found.split, plan["shard"])
    window = rows["label"]["window_id"] if "label" in rows else None
    planned = utterance or {
        name: (plan or {}).get(name) for name in ("recording_id", "speaker_id", "raw_text")
    }
    return UtteranceHistory(
        id=found.id,
        corpus=state.corpus.name,
        split=found.split,
        shard=None if key is None else str(key),
        source=None if plan is None else {name: plan[name] for name in _SOURCE},
        utterance=None if plan is None else planned,
        reference=reference if isinstance(reference, str) else None,
        no_reference=reference.reason if isinstance(reference, NoReference) else None,
        label=rows.get("label"),
        evidence=evidence and {name: evidence[name] for name in evidence if name != "utterances"},
        own_evidence=own,
        alignment=None if own is None else _aligned(own),
        stages={stage: row for stage, row in rows.items() if stage not in _OWN_FIELDS},
        mark=state.filter.marks.of(state.name).mark(found.id, window),
        decision=_decision(config, store, found, shard, rows),
    )


def _aligned(evidence: Mapping[str, Any]) -> list[Row]:
    return [
        {"kind": chunk.kind, "reference": chunk.reference, "hypothesis": chunk.hypothesis}
        for chunk in align(evidence["reference"], evidence["hypothesis"])
    ]


def _by_stage(store: Store, shard: ShardState, id: str) -> dict[str, Row]:
    """The output row of each stage that has one for the utterance."""
    found: dict[str, Row] = {}
    for stage in shard.stages:
        if (receipt := shard.receipts.get(stage)) is None:
            break
        schema = stage_named(stage).table.schema
        # The audio of a whole shard is not read to describe one utterance.
        columns = [field.name for field in schema if not _holds_bytes(field.type)]
        column = "id" if "id" in schema.names else "utterance_ids"
        rows = _rows(store, receipt.output, column, {id}, columns)
        if rows:
            found[stage] = rows[0]
    return found


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _decision(
    config: RunConfig,
    store: Store,
    found: _PlannedUtterance,
    shard: ShardState | None,
    rows: Mapping[str, Row],
) -> Decision:
    if found.row is None:
        return _rejected(store, "plan", found.part, found.id)
    if shard is None:
        limit = config.corpora[found.state.corpus.name].limit_hours
        return Decision(
            outcome="not_taken", stage="plan", reason="limit_hours", detail=f"beyond {limit:g} h"
        )
    for stage, receipt in shard.receipts.items():
        if stage not in rows:
            return _rejected(store, stage, receipt, found.id)
    if shard.next_stage is not None:
        failures = found.state.split(shard.next_stage, found.split).failures
        failure = next((one.reason for one in failures if one.key == shard.key), "")
        return Decision(
            outcome="waiting",
            stage=shard.next_stage,
            reason="failed" if failure else "not_done_yet",
            detail=failure or relisted_advice(corpus_states(config, store)),
        )
    if "filter" in rows:
        num_kept, num_all = (len(rows[stage]["utterance_ids"]) for stage in ("filter", "label"))
        cut = f"its window is cut down to {num_kept} of {num_all} utterances"
        detail = cut if rows["filter"]["cut"] is not None else ""
        return Decision(outcome="kept", stage="filter", detail=detail)
    return Decision(
        outcome="held_out", stage="evaluate", reason=found.state.corpus.splits[found.split]
    )


def _rejected(store: Store, stage: str, receipt: Receipt, id: str) -> Decision:
    for row in _rows(store, receipt.rejected, "id", {id}, REJECTED.names):
        return Decision(
            outcome=row["outcome"], stage=stage, reason=row["reason"], detail=row["detail"]
        )
    raise UserError(
        f"{id!r} is neither in the output nor in the rejected rows of {stage} {receipt.key};"
        " run `distillery manifest verify`"
    )


def _rows(
    store: Store, file: FileRef | None, column: str, ids: set[str], columns: Sequence[str]
) -> list[Row]:
    """The rows of a stored table that have one of `ids` in `column`, a column of ids or lists."""
    if file is None:
        return []
    with store.fetch(file) as path:
        names = pq.read_table(path, columns=[column]).column(column).combine_chunks()
        id_array = pa.array(sorted(ids), pa.string())
        if pa.types.is_list(names.type):
            parents = pc.list_parent_indices(names)
            indices = parents.filter(pc.is_in(pc.list_flatten(names), id_array)).unique()
        else:
            indices = pc.indices_nonzero(pc.is_in(names, id_array))
        if not len(indices):
            return []
        rows: list[Row] = pq.read_table(path, columns=list(columns)).take(indices).to_pylist()
        return rows

"""All that is known of the training utterances of one shard, as a table without audio."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.state.corpus_state import CorpusState
from flows.state.shard_state import ShardState
from flows.state.sweep import filter_context
from flows.state.utterances.ranged import ranged
from storage.outcome import Rejected
from storage.receipt import FileRef, Receipt
from storage.schema import REJECTED, row_ids
from storage.store import Store
from tasks.filter.decide import Members
from tasks.filter.shard import filter_shard

_TEXT: Final = pa.string()
UTTERANCES: Final = pa.schema(
    [
        pa.field("id", _TEXT, nullable=False),
        pa.field("corpus", _TEXT, nullable=False),
        pa.field("split", _TEXT, nullable=False),
        pa.field("shard", pa.int32()),  # null: rejected by the plan
        pa.field("outcome", _TEXT, nullable=False),  # kept | dropped | quarantined | waiting
        pa.field("stage", _TEXT, nullable=False),  # that decided, or is waited for
        pa.field("reason", _TEXT, nullable=False),
        pa.field("detail", _TEXT, nullable=False),
        pa.field("file", _TEXT),  # with its audio, and the row group; null: it has none
        pa.field("row_group", pa.int32()),
        pa.field("recording_id", _TEXT),
        pa.field("speaker_id", _TEXT),
        pa.field("duration_s", pa.float64()),
        pa.field("raw_text", _TEXT),  # the transcript as distributed
        pa.field("window_id", _TEXT),
        pa.field("window_utterances", pa.int32()),  # how many share its window
        pa.field("window_wer_percent", pa.float64()),
        pa.field("label", _TEXT),  # its part of the window's label
        pa.field("language", _TEXT),
        pa.field("flags", _TEXT),  # of its window, separated by spaces
        pa.field("avg_logprob", pa.float64()),  # of its window
        pa.field("no_speech_prob", pa.float64()),  # of its window
        pa.field("reference", _TEXT),  # normalised
        pa.field("hypothesis", _TEXT),  # normalised
        pa.field("wer_percent", pa.float64()),
        pa.field("cer_percent", pa.float64()),
        pa.field("substitutions", pa.int32()),
        pa.field("deletions", pa.int32()),
        pa.field("insertions", pa.int32()),
        pa.field("most_repeats", pa.int32()),
        pa.field("compression_ratio", pa.float64()),
        pa.field("chars_per_s", pa.float64()),
    ]
)
"""A row per training utterance, whatever became of it. What it did not reach is null."""

_SPOKEN: Final = ("id", "recording_id", "speaker_id", "duration_s", "raw_text")
_OF_WINDOW: Final = ("window_id", "language", "avg_logprob", "no_speech_prob")
_OF_UTTERANCE: Final = tuple(UTTERANCES.names[UTTERANCES.names.index("reference") :])


def shard_part(state: CorpusState, shard: ShardState) -> pa.Table:
    """The utterances of a shard (UTTERANCES), decided by the filter as it is configured now.

    Empty before the shard is normalised. Raises `IntegrityError` for a damaged file.
    """
    receipts, store = shard.receipts, state.store
    if "normalise" not in receipts:
        return UTTERANCES.empty_table()
    spoken = _spoken(store, receipts["normalise"].output)
    parts = [_rejections(store, one) for stage, one in receipts.items() if stage != "filter"]
    labelled = scored = None
    if "label" in receipts:
        labelled = _labelled(_read(store, receipts["label"].output))
    if "score" in receipts:
        evidence = _read(store, receipts["score"].output)
        scored = _scored(evidence)
        parts.append(_filtered(state, shard, evidence))
    decided = pa.concat_tables(parts)
    unspoken = decided.filter(pc.invert(pc.is_in(decided["id"], spoken["id"])))
    ids = pa.chunked_array([*spoken["id"].chunks, *unspoken["id"].chunks], _TEXT)
    columns: dict[str, Any] = {"id": ids}
    for table in (spoken, decided, labelled, scored):  # the label of an utterance over its window's
        if table is not None:
            columns |= _beside(ids, table)
    columns["corpus"] = pa.repeat(state.name, len(ids))
    columns["split"] = pa.repeat(shard.key.split, len(ids))
    columns["shard"] = pa.repeat(shard.key.index, len(ids))
    waited_for = _waiting_stage(state, shard)
    for name, value in (
        ("outcome", "waiting"),
        ("stage", waited_for),
        ("reason", ""),
        ("detail", ""),
    ):
        columns[name] = pc.fill_null(columns[name], value)
    return _completed(columns, len(ids))


def plan_part(state: CorpusState, plan: Receipt) -> pa.Table:
    """What a part of a plan rejected (UTTERANCES)."""
    rejected = _rejections(state.store, plan)
    columns = {name: rejected[name] for name in rejected.column_names}
    columns["corpus"] = pa.repeat(state.name, rejected.num_rows)
    columns["split"] = pa.repeat(plan.key.split, rejected.num_rows)
    return _completed(columns, rejected.num_rows)


def _spoken(store: Store, audio: FileRef) -> pa.Table:
    """What a normalised shard says of its utterances, and the row group of each."""
    with ranged(store, audio) as file:
        groups = [file.read_row_group(n, list(_SPOKEN)) for n in range(file.num_row_groups)]
        schema = pa.schema([file.schema_arrow.field(name) for name in _SPOKEN])
    numbered = [
        group.append_column("row_group", pa.repeat(pa.scalar(n, pa.int32()), group.num_rows))
        for n, group in enumerate(groups)
    ]
    empty = schema.append(pa.field("row_group", pa.int32())).empty_table()
    table = pa.concat_tables([empty, *numbered]).combine_chunks()
    return table.append_column("file", pa.repeat(audio.path, table.num_rows))


def _rejections(store: Store, receipt: Receipt) -> pa.Table:
    file = receipt.rejected
    table = REJECTED.empty_table() if file is None else _read(store, file)
    return table.append_column("stage", pa.repeat(receipt.stage, table.num_rows))


def _labelled(labels: pa.Table) -> pa.Table:
    """A row per utterance: what the label of its window says."""
    lists = labels["utterance_ids"].combine_chunks()
    parents = pc.list_parent_indices(lists)
    table = labels.select([*_OF_WINDOW, "pseudo_text"]).rename_columns([*_OF_WINDOW, "label"])
    table = table.append_column("flags", pc.binary_join(labels["flags"], " "))
    sizes = pc.list_value_length(lists).cast(pa.int32())
    table = table.append_column("window_utterances", sizes)
    return table.take(parents).append_column("id", lists.flatten())


def _scored(evidence: pa.Table) -> pa.Table:
    """A row per utterance: its own part of the label, and how it compares with its reference."""
    members = Members.of(evidence)
    kept = members.utterances.select(["id", "pseudo_text", *_OF_UTTERANCE])
    kept = kept.rename_columns(["id", "label", *_OF_UTTERANCE])
    of_windows = members.windows["wer_percent"].take(pa.array(members.parents))
    return kept.append_column("window_wer_percent", of_windows)


def _filtered(state: CorpusState, shard: ShardState, evidence: pa.Table) -> pa.Table:
    """The decisions of the filter; none while it waits for evaluation speech."""
    rows: list[Mapping[str, str]] = []
    if not _waits_for_index(state, shard):
        rows = [{**row, "stage": "filter"} for row in _decisions(state, shard, evidence)]
    schema = REJECTED.append(pa.field("stage", _TEXT))
    return pa.Table.from_pylist(list(rows), schema=schema)


def _decisions(
    state: CorpusState, shard: ShardState, evidence: pa.Table
) -> Iterator[Mapping[str, str]]:
    for outcome in filter_shard(evidence, state.filter, filter_context(state, shard)):
        if isinstance(outcome, Rejected):
            yield {name: getattr(outcome, name) for name in REJECTED.names}
        elif isinstance(outcome, pa.RecordBatch):
            for name in row_ids(outcome):
                yield {"id": name, "outcome": "kept", "reason": "", "detail": ""}


def _waits_for_index(state: CorpusState, shard: ShardState) -> bool:
    is_unindexed = "index" in shard.stages and "index" not in shard.receipts
    return is_unindexed or (state.waits_for_evaluation("filter") and bool(state.evaluation.missing))


def _waiting_stage(state: CorpusState, shard: ShardState) -> str:
    return shard.next_stage or shard.stages[-1]


def _beside(ids: pa.ChunkedArray, table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """The columns of a table in the order of `ids`, null where it has no such id."""
    places = pc.index_in(ids, value_set=table["id"].combine_chunks())
    taken = table.drop_columns(["id"]).take(places)
    return {name: taken[name] for name in taken.column_names}


def _completed(columns: Mapping[str, Any], num_rows: int) -> pa.Table:
    """The columns of UTTERANCES, null where there are none."""
    return pa.table(
        [
            columns[field.name].cast(field.type)
            if field.name in columns
            else pa.nulls(num_rows, field.type)
            for field in UTTERANCES
        ],
        schema=UTTERANCES,
    )


def _read(store: Store, file: FileRef) -> pa.Table:
    with store.fetch(file) as path:
        return pq.read_table(path)

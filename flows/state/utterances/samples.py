"""A few utterances of a run to listen to: the worst that were kept, and some for each reason."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.state.corpus_state import CorpusState
from flows.state.publication import training_shards
from flows.state.shard_state import ShardState
from flows.state.utterances.ranged import ranged
from storage.errors import IntegrityError
from storage.receipt import FileRef, Receipt
from storage.schema import REJECTED
from storage.store import Store
from tasks.text.alignment import AlignmentChunk, align

_MAX_SHARDS: Final = 6
_NUM_KEPT: Final = 5
_NUM_REJECTED: Final = 7
_MAX_PER_REASON: Final = 3
_MAX_S: Final = 30.0
"""Longer utterances, of other models than Whisper, would make a page large."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An utterance with its own evidence; `audio` is its normalised FLAC.

    `outcome` is kept or dropped; `reason` and `detail` are empty for kept ones.
    """

    id: str
    corpus: str
    split: str
    outcome: str
    reason: str
    detail: str
    duration_s: float
    label: str
    wer_percent: float | None
    alignment: Sequence[AlignmentChunk]
    audio: bytes


@dataclass(frozen=True)
class _Candidate:
    state: CorpusState
    shard: ShardState
    evidence: Row  # of the utterance
    outcome: str
    reason: str = ""
    detail: str = ""

    @property
    def rank(self) -> tuple[float, str]:
        """The highest error rate first."""
        wer = self.evidence["wer_percent"]
        return (0.0 if wer is None else -wer, self.evidence["id"])


def read_samples(states: Sequence[CorpusState]) -> list[Sample]:
    """About a dozen utterances of at most six filtered shards, chosen by their receipts.

    The shards are those in which most reasons occur, then one of each further corpus. Their
    evidence is read whole, and of their audio only the row groups of these utterances.
    """
    filtered = [
        (state, shard)
        for state, shards in training_shards(states).items()
        for shard in shards
        if "filter" in shard.receipts
    ]
    found = [one for state, shard in _chosen(filtered) for one in _candidates(state, shard)]
    found = [one for one in found if one.evidence["duration_s"] <= _MAX_S]
    kept = sorted((one for one in found if one.outcome == "kept"), key=lambda one: one.rank)
    return list(_with_audio([*kept[:_NUM_KEPT], *_by_reason(found)]))


def _chosen(
    filtered: Sequence[tuple[CorpusState, ShardState]],
) -> list[tuple[CorpusState, ShardState]]:
    """At most `_MAX_SHARDS` of the shards: for each reason the one with most rows, then others."""
    counts: Counter[str] = Counter()
    for _, shard in filtered:
        counts.update(_dropped(shard))
    chosen: dict[str, tuple[CorpusState, ShardState]] = {}
    for reason, _ in counts.most_common():
        if not any(_dropped(shard).get(reason) for _, shard in chosen.values()):
            best = max(filtered, key=lambda one: _dropped(one[1]).get(reason, 0))
            chosen[str(best[1].key)] = best
    corpora = {state.name for state, _ in chosen.values()}
    for state, shard in filtered:
        if state.name not in corpora:
            corpora.add(state.name)
            chosen[str(shard.key)] = (state, shard)
    return list(chosen.values())[:_MAX_SHARDS]


def _dropped(shard: ShardState) -> Mapping[str, int]:
    return shard.receipts["filter"].counts.dropped


def _candidates(state: CorpusState, shard: ShardState) -> Iterator[_Candidate]:
    store, filtered = state.store, shard.receipts["filter"]
    with store.fetch(shard.receipts["score"].output) as path:
        windows = pq.read_table(path, columns=["utterances"]).column("utterances").to_pylist()
    evidence = {one["id"]: one for window in windows for one in window}
    for row in _rejected(store, filtered):
        if row["id"] in evidence:
            yield _Candidate(
                state, shard, evidence[row["id"]], row["outcome"], row["reason"], row["detail"]
            )
    with store.fetch(filtered.output) as path:
        kept = pq.read_table(path, columns=["utterance_ids"]).column("utterance_ids")
    for ids in kept.to_pylist():
        yield from (_Candidate(state, shard, evidence[one], "kept") for one in ids)


def _rejected(store: Store, receipt: Receipt) -> list[Row]:
    if receipt.rejected is None:
        return []
    with store.fetch(receipt.rejected) as path:
        rows: list[Row] = pq.read_table(path, columns=REJECTED.names).to_pylist()
    return rows


def _by_reason(found: Sequence[_Candidate]) -> Iterator[_Candidate]:
    """Some for each reason, spread from the worst to the best of them."""
    reasons = Counter(one.reason for one in found if one.reason)
    each = min(_MAX_PER_REASON, max(1, _NUM_REJECTED // max(1, len(reasons))))
    for reason, _ in reasons.most_common(_NUM_REJECTED):
        ranked = sorted((one for one in found if one.reason == reason), key=lambda one: one.rank)
        num = min(each, len(ranked))
        yield from (ranked[len(ranked) * index // num] for index in range(num))


def _with_audio(candidates: Sequence[_Candidate]) -> Iterator[Sample]:
    wanted: dict[str, list[_Candidate]] = {}
    for one in candidates:
        wanted.setdefault(str(one.shard.key), []).append(one)
    audio: dict[tuple[str, str], bytes] = {}
    for key, of_shard in wanted.items():
        state, shard = of_shard[0].state, of_shard[0].shard
        ids = {one.evidence["id"] for one in of_shard}
        for name, data in _audio(state.store, shard.receipts["normalise"].output, ids):
            audio[key, name] = data
    for one in candidates:
        evidence = one.evidence
        yield Sample(
            id=evidence["id"],
            corpus=one.shard.key.corpus,
            split=one.shard.key.split,
            outcome=one.outcome,
            reason=one.reason,
            detail=one.detail,
            duration_s=evidence["duration_s"],
            label=evidence["pseudo_text"].strip(),
            wer_percent=evidence["wer_percent"],
            alignment=align(evidence["reference"], evidence["hypothesis"]),
            audio=audio[str(one.shard.key), evidence["id"]],
        )


def _audio(store: Store, file: FileRef, ids: set[str]) -> Iterator[tuple[str, bytes]]:
    """The audio of some utterances of a shard; whole shards would take long to transfer."""
    try:
        with ranged(store, file) as parquet:
            names = parquet.read(columns=["id"]).column("id")
            rows = pc.indices_nonzero(pc.is_in(names, pa.array(sorted(ids)))).to_pylist()
            first = 0
            for group in range(parquet.metadata.num_row_groups):
                last = first + parquet.metadata.row_group(group).num_rows
                here = [row - first for row in rows if first <= row < last]
                if here:
                    table = parquet.read_row_group(group, columns=["id", "audio"]).take(here)
                    for row in table.to_pylist():
                        yield row["id"], row["audio"]["bytes"]
                first = last
    except (pa.ArrowException, OSError) as error:
        raise IntegrityError(f"{file.path} is damaged: {error}", file.path) from error

"""Scores one shard: labels are joined with their references and compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import pyarrow as pa

from storage.errors import ShardError
from storage.outcome import Outcomes, dropped
from tasks.corpora.base import Clean, NoReference
from tasks.score.evidence import LoadVocabulary, Reference, evidence_batch
from tasks.text.comparison import Comparison

_BATCH_WINDOWS = 1_000

LABEL_COLUMNS = [
    "window_id",
    "utterance_ids",
    "offsets_s",
    "duration_s",
    "pseudo_text",
    "pseudo_tokens",
    "language",
    "avg_logprob",
    "no_speech_prob",
    "compression_ratio",
    "flags",
]

REFERENCE_COLUMNS = ["id", "speaker_id", "raw_text"]
"""The columns of a normalised shard that are read."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The transcript and speaker of an utterance, as distributed by its corpus."""

    raw_text: str
    speaker_id: str | None


def score_shard(
    labels: pa.Table,
    references: pa.Table,
    clean: Clean,
    comparison: Comparison,
    load_vocabulary: LoadVocabulary,
) -> Outcomes:
    """Yield evidence (EVIDENCE) for the windows of `labels` (LABELS), in their order.

    `references` has the columns `REFERENCE_COLUMNS` and is joined by id. `clean` turns a transcript
    as distributed into a reference. If it returns none, the utterance's reference is empty and
    `no_reference` gives the reason; a window without any reference is dropped, each of its
    utterances for its own reason. `load_vocabulary` is called only for windows of several
    utterances. Raises `ShardError` for an utterance with no row in `references`, or two.
    """
    sources = _by_id(references)
    for batch in labels.select(LABEL_COLUMNS).to_batches(max_chunksize=_BATCH_WINDOWS):
        batch_references: list[list[Reference]] = []
        has_reference: list[bool] = []
        for window_id, utterance_ids in zip(
            batch.column("window_id").to_pylist(),
            batch.column("utterance_ids").to_pylist(),
            strict=True,
        ):
            members = [_find(sources, utterance_id, window_id) for utterance_id in utterance_ids]
            texts = [clean(member.raw_text) for member in members]
            has_reference.append(any(isinstance(text, str) for text in texts))
            if has_reference[-1]:
                batch_references.append(list(map(_reference, members, texts)))
            else:
                for utterance_id, member, text in zip(utterance_ids, members, texts, strict=True):
                    reason = cast("NoReference", text).reason
                    yield dropped(utterance_id, reason, member.raw_text)
        if batch_references:
            windows = batch.filter(pa.array(has_reference))
            yield evidence_batch(windows, batch_references, comparison, load_vocabulary)


def _reference(source: _Source, text: str | NoReference) -> Reference:
    if isinstance(text, NoReference):
        return Reference("", source.speaker_id, f"{text.reason}: {source.raw_text}")
    return Reference(text, source.speaker_id)


def _by_id(references: pa.Table) -> Mapping[str, _Source]:
    columns = {name: references.column(name).to_pylist() for name in REFERENCE_COLUMNS}
    ids = columns["id"]
    sources = {
        utterance_id: _Source(raw_text, speaker_id)
        for utterance_id, raw_text, speaker_id in zip(
            ids, columns["raw_text"], columns["speaker_id"], strict=True
        )
    }
    if len(sources) != len(ids):
        raise ShardError(
            f"{len(ids)} references have only {len(sources)} different ids, so they cannot be"
            " joined with utterances; normalise this shard again"
        )
    return sources


def _find(sources: Mapping[str, _Source], utterance_id: str, window_id: str) -> _Source:
    try:
        return sources[utterance_id]
    except KeyError:
        raise ShardError(
            f"utterance {utterance_id!r} of window {window_id!r} is not among the"
            f" {len(sources)} references; label the shard again from the same normalised shard"
        ) from None

"""One shard's labels and references become one shard's evidence."""

from collections.abc import Mapping
from dataclasses import dataclass

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
"""What is read of a normalised shard."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What a corpus says of an utterance."""

    raw_text: str
    speaker_id: str | None


def score_shard(
    labels: pa.Table,
    references: pa.Table,
    clean: Clean,
    how: Comparison,
    load_vocabulary: LoadVocabulary,
) -> Outcomes:
    """Evidence (EVIDENCE) for the windows of `labels` (LABELS), in their order.

    `references` has the columns `REFERENCE_COLUMNS` and is joined by id. `clean` turns a transcript
    as distributed into a reference. Where it gives none, an utterance has an empty one and says why
    (`no_reference`); a window in which none has any is dropped, each utterance for its reason.
    `load_vocabulary` is called where a window has several utterances. Raises `ShardError` for an
    utterance that has no row in `references`, or two.
    """
    said = _by_id(references)
    for batch in labels.select(LABEL_COLUMNS).to_batches(max_chunksize=_BATCH_WINDOWS):
        found: list[list[Reference]] = []
        is_known: list[bool] = []
        for window_id, names in zip(
            batch.column("window_id").to_pylist(),
            batch.column("utterance_ids").to_pylist(),
            strict=True,
        ):
            members = [_found(said, name, window_id) for name in names]
            cleaned = [clean(member.raw_text) for member in members]
            is_known.append(any(isinstance(text, str) for text in cleaned))
            if is_known[-1]:
                found.append(list(map(_reference, members, cleaned)))
            else:
                for name, member, text in zip(names, members, cleaned, strict=True):
                    assert isinstance(text, NoReference)
                    yield dropped(name, text.reason, member.raw_text)
        if found:
            windows = batch.filter(pa.array(is_known))
            yield evidence_batch(windows, found, how, load_vocabulary)


def _reference(said: _Said, text: str | NoReference) -> Reference:
    if isinstance(text, NoReference):
        return Reference("", said.speaker_id, f"{text.reason}: {said.raw_text}")
    return Reference(text, said.speaker_id)


def _by_id(references: pa.Table) -> Mapping[str, _Said]:
    columns = {name: references.column(name).to_pylist() for name in REFERENCE_COLUMNS}
    ids = columns["id"]
    said = {
        name: _Said(raw_text, speaker_id)
        for name, raw_text, speaker_id in zip(
            ids, columns["raw_text"], columns["speaker_id"], strict=True
        )
    }
    if len(said) != len(ids):
        raise ShardError(
            f"{len(ids)} references have only {len(said)} different ids, so which text belongs"
            " to which utterance is unknown; normalise this shard again"
        )
    return said


def _found(said: Mapping[str, _Said], utterance_id: str, window_id: str) -> _Said:
    try:
        return said[utterance_id]
    except KeyError:
        raise ShardError(
            f"the utterance {utterance_id!r} of the window {window_id!r} is not among the"
            f" {len(said)} references; label the shard again from the same normalised shard"
        ) from None

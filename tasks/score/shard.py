"""One shard's labels and references become one shard's evidence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from storage.errors import ShardError
from storage.outcome import LeftOut, Outcomes, dropped
from tasks.corpora.base import Clean, NoReference
from tasks.score.evidence import LoadVocabulary, evidence_batch
from tasks.text import Comparison

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
    as distributed into a reference; where it gives none, that utterance is dropped for its reason,
    and with it those that share its window (`window_of_dropped_utterance`). `load_vocabulary` is
    called where a window has several utterances. Raises `ShardError` for an utterance that has no
    row in `references`, or two.
    """
    said = _by_id(references)
    for batch in labels.select(LABEL_COLUMNS).to_batches(max_chunksize=_BATCH_WINDOWS):
        texts: list[list[str]] = []
        speaker_ids: list[list[str | None]] = []
        is_known: list[bool] = []
        for window_id, names in zip(
            batch.column("window_id").to_pylist(),
            batch.column("utterance_ids").to_pylist(),
            strict=True,
        ):
            members = [_found(said, name, window_id) for name in names]
            cleaned = [clean(member.raw_text) for member in members]
            known = [text for text in cleaned if isinstance(text, str)]
            is_known.append(len(known) == len(cleaned))
            if is_known[-1]:
                texts.append(known)
                speaker_ids.append([member.speaker_id for member in members])
            else:
                yield from _drop_window(dict(zip(names, cleaned, strict=True)), said)
        if texts:
            windows = batch.filter(pa.array(is_known))
            yield evidence_batch(windows, texts, speaker_ids, how, load_vocabulary)


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


def _drop_window(
    texts: Mapping[str, str | NoReference], said: Mapping[str, _Said]
) -> Iterator[LeftOut]:
    offending = next(name for name, text in texts.items() if isinstance(text, NoReference))
    for utterance_id, text in texts.items():
        if isinstance(text, NoReference):
            yield dropped(utterance_id, text.reason, said[utterance_id].raw_text)
        else:
            yield dropped(utterance_id, "window_of_dropped_utterance", f"with {offending}")

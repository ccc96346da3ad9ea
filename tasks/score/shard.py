"""One shard's labels and references become one shard's evidence."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from configs.schema import Score
from storage.errors import ShardError
from storage.outcome import LeftOut, Outcomes, dropped
from tasks.corpora.base import Clean, NoReference
from tasks.score.evidence import ToCompare, evidence_batch
from tasks.text import normaliser

_BATCH_WINDOWS = 1_000

_LABEL_COLUMNS = [
    "window_id",
    "utterance_ids",
    "duration_s",
    "pseudo_text",
    "avg_logprob",
    "no_speech_prob",
    "compression_ratio",
]


def score_shard(
    labels: pa.Table,
    references: pa.Table,
    clean: Clean,
    settings: Score,
) -> Outcomes:
    """Evidence (EVIDENCE) for the windows of `labels` (LABELS), in their order.

    `references` has the columns `id` and `raw_text` and is joined by id. `clean` turns a transcript
    as distributed into a reference; where it gives none, that utterance is dropped for its reason,
    and with it those that share its window (`window_of_dropped_utterance`). Raises
    `ShardError` for an utterance that has no row in `references`, or two.
    """
    raw_texts = _by_id(references)
    normalise = normaliser(settings.normaliser)
    for batch in labels.select(_LABEL_COLUMNS).to_batches(max_chunksize=_BATCH_WINDOWS):
        windows: list[ToCompare] = []
        for label in batch.to_pylist():
            texts = {
                utterance_id: clean(_raw_text(raw_texts, utterance_id, label["window_id"]))
                for utterance_id in label["utterance_ids"]
            }
            known = [text for text in texts.values() if isinstance(text, str)]
            if len(known) < len(texts):
                yield from _drop_window(texts, raw_texts)
            else:
                windows.append(ToCompare(label, " ".join(known)))
        if windows:
            yield evidence_batch(windows, normalise)


def _by_id(references: pa.Table) -> Mapping[str, str]:
    ids = references.column("id").to_pylist()
    raw_texts = dict(zip(ids, references.column("raw_text").to_pylist(), strict=True))
    if len(raw_texts) != len(ids):
        raise ShardError(
            f"{len(ids)} references have only {len(raw_texts)} different ids, so which text belongs"
            " to which utterance is unknown; normalise this shard again"
        )
    return raw_texts


def _raw_text(raw_texts: Mapping[str, str], utterance_id: str, window_id: str) -> str:
    try:
        return raw_texts[utterance_id]
    except KeyError:
        raise ShardError(
            f"the utterance {utterance_id!r} of the window {window_id!r} is not among the"
            f" {len(raw_texts)} references; label the shard again from the same normalised shard"
        ) from None


def _drop_window(
    texts: Mapping[str, str | NoReference], raw_texts: Mapping[str, str]
) -> Iterator[LeftOut]:
    offending = next(name for name, text in texts.items() if isinstance(text, NoReference))
    for utterance_id, text in texts.items():
        if isinstance(text, NoReference):
            yield dropped(utterance_id, text.reason, raw_texts[utterance_id])
        else:
            yield dropped(utterance_id, "window_of_dropped_utterance", f"with {offending}")

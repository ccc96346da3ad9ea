"""Computes the text and audio fingerprints of a shard."""

from collections.abc import Callable, Iterable

import pyarrow as pa

from storage.errors import ShardError
from storage.outcome import Outcomes
from tasks.audio import AudioError, audio_digest
from tasks.corpora.base import Clean, NoReference
from tasks.index.schema import IDENTITIES


def index_shard(
    batches: Iterable[pa.RecordBatch], clean: Clean, normalise: Callable[[str], str]
) -> Outcomes:
    """Yield batches of schema IDENTITIES for batches of schema NORMALISED, in the same order.

    The text is cleaned and normalised as in `score`; it is null if there is no reference. Raises
    `ShardError` if audio cannot be decoded.
    """
    for batch in batches:
        texts = [clean(raw_text) for raw_text in batch.column("raw_text").to_pylist()]
        ids = batch.column("id").to_pylist()
        files = batch.column("audio").field("bytes").to_pylist()
        yield pa.RecordBatch.from_pydict(
            {
                "id": ids,
                "corpus": batch.column("corpus"),
                "split": batch.column("split"),
                "text": [
                    None if isinstance(text, NoReference) else normalise(text) for text in texts
                ],
                "sound": [_audio_digest(name, flac) for name, flac in zip(ids, files, strict=True)],
            },
            schema=IDENTITIES,
        )


def _audio_digest(utterance_id: str, flac: bytes) -> bytes:
    try:
        return audio_digest(flac)
    except AudioError as error:
        raise ShardError(
            f"the normalised audio of utterance {utterance_id} is not a FLAC file: {error};"
            " normalise its shard again"
        ) from error

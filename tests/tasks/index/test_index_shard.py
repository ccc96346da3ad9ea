"""Text and audio fingerprints of utterances."""

from hashlib import md5

import numpy as np
import pyarrow as pa
import pytest

from storage.errors import ShardError
from tasks.audio import audio_digest, encode_flac
from tasks.corpora.base import NoReference
from tasks.index.schema import IDENTITIES
from tasks.index.shard import index_shard
from tasks.normalise.schema import NORMALISED
from tasks.text.comparison import normaliser


def pcm(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, 3_000).astype("<i2")


def row(name: str, raw_text: str, flac: bytes) -> dict:
    return {
        "id": name,
        "corpus": "ami",
        "split": "dev",
        "recording_id": "r",
        "speaker_id": None,
        "start_s": 0.0,
        "duration_s": 1.0,
        "audio": {"bytes": flac, "path": f"{name}.flac"},
        "raw_text": raw_text,
    }


def clean(raw_text: str) -> str | NoReference:
    return NoReference("ignored") if raw_text == "IGNORE" else raw_text


def indexed(*rows: dict) -> pa.Table:
    batch = pa.RecordBatch.from_pylist(list(rows), schema=NORMALISED)
    made = list(index_shard([batch], clean, normaliser("english")))
    return pa.Table.from_batches(made, schema=IDENTITIES)


def test_texts_are_normalised_as_in_score_and_complete() -> None:
    rows = indexed(
        row("a", "Mr. Brown's colour", encode_flac(pcm(1))), row("b", "IGNORE", encode_flac(pcm(2)))
    ).to_pylist()
    assert [(one["id"], one["text"]) for one in rows] == [
        ("a", "mister brown is color"), ("b", None),
    ]  # fmt: skip
    assert (rows[0]["corpus"], rows[0]["split"]) == ("ami", "dev")


def test_the_digest_depends_on_the_samples_only() -> None:
    """Read from the FLAC header, or computed by decoding if it is missing."""
    flac = encode_flac(pcm(3))
    untold = flac[:26] + bytes(16) + flac[42:]
    expected = md5(pcm(3).tobytes(), usedforsecurity=False).digest()
    assert audio_digest(flac) == audio_digest(untold) == expected
    assert audio_digest(encode_flac(pcm(4))) != expected


def test_bytes_that_are_not_audio_are_refused() -> None:
    with pytest.raises(ShardError, match="utterance b is not a FLAC file"):
        indexed(row("b", "x", b"nothing"))

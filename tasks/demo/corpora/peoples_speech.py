"""A demo corpus in the distribution format of the People's Speech on the Hub.

One Parquet file per part, with one row per utterance and the FLAC file in it.

Defects (see `tasks.demo.speech.utterances`), in `train` only: an unreadable FLAC, a row without
audio, an empty text, an utterance longer than the teacher's window, wrong transcripts. Edge case,
there too: a `duration_ms` that is twice the real duration.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.demo.formats.archives import Member, Tree
from tasks.demo.formats.flac import flac_file
from tasks.demo.speech.utterances import (
    Defect,
    close_recording,
    defect_at,
    pcm16,
    utterance,
)
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

UTTERANCES_A_RECORDING = 12
ROWS_A_GROUP = 100
# The training utterance, from 0, with a wrong `duration_ms`.
WRONG_DURATION_AT = 5
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field(
            "audio", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
        ),
        pa.field("duration_ms", pa.int32()),
        pa.field("text", pa.string()),
    ]
)


def peoples_speech_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Tree, ...]:
    """The tree of files; `on_utterance` is called after each utterance."""
    sizes = {
        "train": num_train_utterances,
        "validation": num_eval_utterances,
        "test": num_eval_utterances,
    }
    return (Tree(members=partial(_members, seed, sizes, on_utterance)),)


def _members(
    seed: int, sizes: dict[str, int], on_utterance: Callable[[], None]
) -> Iterator[Member]:
    for part_index, (part, num_utterances) in enumerate(sizes.items()):
        rows = []
        for index in range(num_utterances):
            defect = defect_at(index) if part == "train" else None
            rng = np.random.default_rng([seed, part_index, index])
            rows.append(_row(part, index, defect, rng))
            on_utterance()
        buffer = io.BytesIO()
        table = pa.Table.from_pylist(rows, _SCHEMA)
        pq.write_table(table, buffer, compression="snappy", row_group_size=ROWS_A_GROUP)
        yield Member(path=f"clean/{part}-00000-of-00001.parquet", content=buffer.getvalue())


def _row(part: str, index: int, defect: Defect | None, rng: np.random.Generator) -> dict[str, Any]:
    """The row of an utterance; a recording has one speaker."""
    meeting, number = divmod(index, UTTERANCES_A_RECORDING)
    recording = f"{part.title()}Council{meeting:03d}"
    speech = utterance(f"peoples_speech {recording}", rng, defect)
    flac: bytes | None = flac_file(pcm16(close_recording(speech.samples, rng)), SAMPLE_RATE_HZ)
    if defect is Defect.UNREADABLE_AUDIO and flac is not None:
        flac = flac[:4] + bytes(byte ^ 0xFF for byte in flac[4:])
    elif defect is Defect.MISSING_AUDIO:
        flac = None
    duration_ms = round(speech.duration_s * 1000)
    if part == "train" and index == WRONG_DURATION_AT:
        duration_ms *= 2
    name = f"{recording}_SLASH_{recording}_DOT_mp3_{number:05d}.flac"
    return {
        "id": name,
        "audio": {"bytes": flac, "path": name},
        "duration_ms": duration_ms,
        "text": speech.transcript,
    }

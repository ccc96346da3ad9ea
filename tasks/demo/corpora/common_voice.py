"""A demo corpus in the distribution format of Common Voice 13.0.

One tar.gz with one MP3 clip per utterance, half of them at 32 and half at 48 kHz, and tab-separated
tables. Every sixth training utterance is listed in `validated.tsv` only; that table also repeats
the clips of all other tables.

Defects (see `tasks.demo.speech.utterances`), in training only: a clip without any frame of audio, a
row without a clip, an empty sentence, a sentence longer than the teacher's window, wrong sentences.
Edge cases: an unbalanced quote, outer quotes, doubled quotes, escaped quotes, a path without a
suffix, a sentence in another language.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import av
import numpy as np
import soxr

from tasks.demo.formats.archives import Archive, Member
from tasks.demo.speech.prose import as_prose
from tasks.demo.speech.utterances import (
    Defect,
    FloatArray,
    close_recording,
    defect_at,
    pcm16,
    utterance,
)
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

RELEASE = "cv-corpus-13.0-2023-03-09"
UTTERANCES_A_SPEAKER = 8
_FOLDER = f"{RELEASE}/en"
_COLUMNS = (
    "client_id", "path", "sentence", "up_votes", "down_votes", "age", "gender", "accents",
    "variant", "locale", "segment",
)  # fmt: skip
_EMPTY_TABLES = ("invalidated", "other", "reported")
_FIRST_CLIP = {"train": 99_000_000, "dev": 99_500_000, "test": 99_700_000}
_BITS_PER_S = {32_000: 48_000, 48_000: 64_000}
_RUSSIAN_AT = 12  # training utterance, from 0
_RUSSIAN = "Она дома."  # "She is at home."
_FRAME_START = b"\xff\xfb"

_Row = Mapping[str, str]


class _Pipe:
    """A target without seek, so that FFmpeg cannot write the length into the header."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)


def common_voice_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Archive, ...]:
    """The archive; `on_utterance` is called after each utterance."""
    sizes = {"train": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    return (
        Archive(name=f"{RELEASE}-en.tar.gz", members=partial(_members, seed, sizes, on_utterance)),
    )


def _members(
    seed: int, sizes: Mapping[str, int], on_utterance: Callable[[], None]
) -> Iterator[Member]:
    """The clips, then the tables."""
    tables: dict[str, list[_Row]] = {"train": [], "dev": [], "test": [], "validated": []}
    for part, num_utterances in sizes.items():
        for index in range(num_utterances):
            clip, row = _clip(seed, part, index)
            on_utterance()
            if clip is not None:
                yield Member(path=f"{_FOLDER}/clips/{_path(part, index)}", content=clip)
            tables["validated"].append(row)
            if part != "train" or index % 6 != 5:
                tables[part].append(row)
    for name in _EMPTY_TABLES:
        tables[name] = []
    for name, rows in tables.items():
        lines = [_COLUMNS, *([row.get(column, "") for column in _COLUMNS] for row in rows)]
        text = "".join("\t".join(fields) + "\n" for fields in lines)
        yield Member(path=f"{_FOLDER}/{name}.tsv", content=text.encode())


def _path(part: str, index: int) -> str:
    return f"common_voice_en_{_FIRST_CLIP[part] + index}.mp3"


def _clip(seed: int, part: str, index: int) -> tuple[bytes | None, _Row]:
    """The MP3 clip of an utterance, or None if missing, and its row."""
    rng = np.random.default_rng([seed, _FIRST_CLIP[part] + index])
    defect = defect_at(index) if part == "train" else None
    speaker = f"common_voice {part} {index // UTTERANCES_A_SPEAKER}"
    speech = utterance(speaker, rng, defect)
    clip: bytes | None = _mp3(close_recording(speech.samples, rng), (32_000, 48_000)[index % 2])
    if defect is Defect.MISSING_AUDIO:
        clip = None
    elif defect is Defect.UNREADABLE_AUDIO and clip is not None:
        clip = clip[: clip.index(_FRAME_START)]
    sentence, path = as_prose(speech.transcript), _path(part, index)
    if part == "train":
        sentence = _quoted(sentence, index)
        path = path.removesuffix(".mp3") if index == 9 else path
        sentence = _RUSSIAN if index == _RUSSIAN_AT else sentence
    row = {"client_id": hashlib.sha512(speaker.encode()).hexdigest(), "path": path}
    row |= {"sentence": sentence, "up_votes": "2", "down_votes": "0", "locale": "en"}
    return clip, row


def _quoted(sentence: str, index: int) -> str:
    """Quote some training sentences in the ways found in the real tables."""
    first, _, rest = sentence.partition(" ")
    return {
        0: f'{first} "{rest}',
        1: f'"{sentence}"',
        3: f'"""{first}"" {rest}"',
        7: rf"\"{first}\" {rest}",
    }.get(index, sentence)


def _mp3(samples: FloatArray, rate_hz: int) -> bytes:
    """A mono MP3 with constant bit rate, without a header that states its length."""
    resampled = pcm16(soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz))
    pipe = _Pipe()
    with av.open(pipe, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        stream.bit_rate = _BITS_PER_S[rate_hz]
        frame = av.AudioFrame.from_ndarray(resampled.reshape(1, -1), format="s16p", layout="mono")
        frame.sample_rate = rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return bytes(pipe.written)

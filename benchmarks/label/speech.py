"""A shard to label, with utterance lengths of the paper's corpora, scaled to the window.

The demo voices speak for the demo teacher. For random weights it is noise that encodes a number of
tokens, which the models of `benchmarks.label.models` read from it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from storage.stage import ROW_GROUP_BYTES
from tasks.audio import SAMPLE_RATE_HZ, encode_flac
from tasks.demo.speech.grammar import sentence
from tasks.demo.speech.utterances import pcm16
from tasks.demo.speech.voices import synthesise, voice_of_speaker
from tasks.normalise.schema import NORMALISED

Pcm = npt.NDArray[np.int16]

CORPORA = {
    "peoples_speech": (12_000, 13.8, 38.5),
    "gigaspeech": (2_500, 4.0, 12.9),
    "common_voice": (2_400, 5.6, 31.9),
    "fisher": (1_960, 3.3, 10.1),
    "librispeech": (960, 12.1, 32.9),
    "voxpopuli": (540, 10.3, 26.1),
    "tedlium": (450, 6.1, 18.3),
    "switchboard": (260, 4.8, 8.3),
    "ami": (100, 2.6, 7.3),
}
"""Hours, mean seconds and mean words of an utterance (Distil-Whisper, tables 13 and 14)."""

TOKENS_PER_WORD = 1.3  # of Whisper's vocabulary, in English
MAX_TOKENS_PER_S = 200 / 30  # below the limit of 224 a window

_WINDOW_S = 30.0  # the window of the table
_SHAPE = 4.0  # of the gamma distribution of lengths; an assumption, the table has means only
_MIN_S = 0.3
_PER_RECORDING = 24
_NUM_SENTENCES = 400
_LOUD, _QUIET = 3_000.0, 30.0  # amplitudes of noise with and without tokens


@dataclass(frozen=True)
class Speech:
    """A normalised shard in a Parquet file, with the reference of each utterance by id.

    References are empty where there are none. `num_tokens` is what noise encodes, by id.
    """

    path: Path
    texts: dict[str, str]
    audio_s: float
    num_tokens: dict[str, int] = field(default_factory=dict)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows of the shard as the pipeline does."""
        # otherwise it keeps everything it has read
        yield from pq.ParquetFile(self.path, pre_buffer=False).iter_batches(64)


def write_speech(
    path: Path,
    audio_s: float,
    window_s: float,
    *,
    spoken: bool,
    max_s: float | None = None,
    corpora: Sequence[str] = tuple(CORPORA),
) -> Speech:
    """Write a shard of at least `audio_s` seconds, one recording per speaker.

    Of all `corpora`, about half of the rows come from one, as in the paper's 22,000 hours. `max_s`
    limits the length of utterances; the default is a window.
    """
    random = np.random.default_rng(0)
    voice = _Sentences(random) if spoken else None
    names = list(corpora)
    shares = np.array([CORPORA[name][0] / CORPORA[name][1] for name in names])
    num_tokens: dict[str, int] = {}
    texts: dict[str, str] = {}
    total_s = 0.0
    rows: list[dict[str, Any]] = []
    group_bytes = 0
    with pq.ParquetWriter(path, NORMALISED, compression="zstd") as writer:
        while total_s < audio_s:
            corpus = names[random.choice(len(names), p=shares / shares.sum())]
            _, mean_s, mean_words = CORPORA[corpus]
            recording = f"{len(num_tokens):06d}"
            for number in range(_PER_RECORDING):
                drawn_s = random.gamma(_SHAPE, mean_s / _SHAPE) * window_s / _WINDOW_S
                seconds = min(max(drawn_s, _MIN_S), max_s or window_s)
                rate = mean_words / mean_s * TOKENS_PER_WORD * random.uniform(0.7, 1.3)
                tokens = max(1, round(seconds * min(rate, MAX_TOKENS_PER_S)))
                text, samples = voice.of(seconds) if voice else ("", noise(seconds, tokens, random))
                row = _row(corpus, recording, number, samples)
                num_tokens[row["id"]], texts[row["id"]] = tokens, text
                total_s += row["duration_s"]
                rows.append(row)
                group_bytes += len(row["audio"]["bytes"])
            if group_bytes >= ROW_GROUP_BYTES or total_s >= audio_s:
                writer.write_table(pa.Table.from_pylist(rows, schema=NORMALISED))
                rows, group_bytes = [], 0
    return Speech(path, texts, total_s, num_tokens)


def noise(seconds: float, num_tokens: int, random: np.random.Generator) -> Pcm:
    """Noise that is loud for the time `num_tokens` take at the highest rate, then quiet."""
    amplitude = np.full(round(seconds * SAMPLE_RATE_HZ), _QUIET, np.float32)
    amplitude[: round(num_tokens / MAX_TOKENS_PER_S * SAMPLE_RATE_HZ)] = _LOUD
    scaled = random.standard_normal(len(amplitude), np.float32) * amplitude
    samples: Pcm = np.clip(np.rint(scaled), -32768, 32767).astype(np.int16)
    return samples


class _Sentences:
    """Sentences of the demo's voices, looked up by duration."""

    def __init__(self, random: np.random.Generator) -> None:
        voices = [voice_of_speaker(f"speaker {number}") for number in range(8)]
        texts = [sentence(random) for _ in range(_NUM_SENTENCES)]
        spoken = [
            (text, pcm16(synthesise(text, voices[number % len(voices)])))
            for number, text in enumerate(texts)
        ]
        self._sentences = sorted(spoken, key=lambda one: len(one[1]))
        self._lengths = [len(samples) for _, samples in self._sentences]

    def of(self, seconds: float) -> tuple[str, Pcm]:
        """The longest sentence shorter than `seconds`, or the shortest of all: text and samples."""
        return self._sentences[max(0, bisect_left(self._lengths, seconds * SAMPLE_RATE_HZ) - 1)]


def _row(corpus: str, recording: str, number: int, samples: Pcm) -> dict[str, Any]:
    name = f"{recording}-{number:02d}"
    return {
        "id": name,
        "corpus": corpus,
        "split": "train",
        "recording_id": recording,
        "speaker_id": recording,
        "start_s": 0.0,
        "duration_s": len(samples) / SAMPLE_RATE_HZ,
        "audio": {"bytes": encode_flac(samples), "path": f"{name}.flac"},
        "raw_text": "",
    }

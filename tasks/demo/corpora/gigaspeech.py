"""A demo corpus in the distribution format of GigaSpeech 1.0.0.

`GigaSpeech.json` and whole recordings in Opus; the form `release`.

Defects (see `tasks.demo.speech.utterances`), in L only: an undecodable recording and a missing one,
each with a single segment, a segment without words, one longer than the teacher's window, wrong
transcripts. Edge cases, also in L: a segment in `{XL}` only, one with only `<SIL>`, one with
`<NOISE>` among its words, one that ends after its recording.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tasks.demo.formats.archives import Member, Tree
from tasks.demo.formats.opus import opus_file
from tasks.demo.speech.acoustics import add_noise, reverberate, scale_to_peak
from tasks.demo.speech.utterances import Defect, FloatArray, defect_at, pcm16, utterance
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

METADATA_NAME = "GigaSpeech.json"
UTTERANCES_A_RECORDING = 10
# The utterance of L, from 0, with a noise tag.
NOISE_AT = 5
# Margin of a segment around its speech, as in automatic alignments.
_MARGIN_S = 0.1
_PAST_THE_END_S = 2.0
_SILENCE_S = 1.0
_SUBSETS = {"l": ["{XL}", "{L}"], "dev": ["{DEV}"], "test": ["{TEST}"]}
_BESIDE_L = ["{XL}"]
_FIRST_NUMBERS = {"l": 1, "dev": 5_001, "test": 7_001}
# Defects of a file: the recording has one segment, so that no others are affected.
_OF_FILES = (Defect.UNREADABLE_AUDIO, Defect.MISSING_AUDIO)
_COMMA_SHARE = 0.3
_LAST_MARKS = ("<PERIOD>", "<PERIOD>", "<PERIOD>", "<QUESTIONMARK>", "<EXCLAMATIONPOINT>")
_TERMS = (
    b"Synthetic speech in the layout of GigaSpeech, made by Distillery's demo with espeak-ng.\n"
)


def gigaspeech_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Tree, ...]:
    """The tree of files; `on_utterance` is called after each utterance."""
    sizes = {"l": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    return (Tree(members=partial(_members, seed, sizes, on_utterance)),)


def _members(
    seed: int, sizes: dict[str, int], on_utterance: Callable[[], None]
) -> Iterator[Member]:
    """The recordings, then the metadata of all of them."""
    yield Member(path="TERMS_OF_ACCESS", content=_TERMS)
    audios = []
    for part_index, (part, num_utterances) in enumerate(sizes.items()):
        defects = [defect_at(index) if part == "l" else None for index in range(num_utterances)]
        for number, group in enumerate(_groups(defects), start=_FIRST_NUMBERS[part]):
            rng = np.random.default_rng([seed, part_index, number])
            recording = _Recording(f"POD{number:010d}", part, rng)
            for index in group:
                recording.speak(defects[index], part == "l" and index == NOISE_AT)
                on_utterance()
            if part == "l" and 0 in group:
                recording.add_edges()
            opus = recording.opus()
            kind = defects[group[0]]
            if kind is Defect.UNREADABLE_AUDIO:
                opus = opus[:4] + bytes(byte ^ 0xFF for byte in opus[4:])
            if kind is not Defect.MISSING_AUDIO:
                yield Member(path=recording.path, content=opus)
            audios.append(recording.entry(opus))
    metadata = {
        "dataset": "GigaSpeech",
        "description": _TERMS.decode().strip(),
        "language": "EN",
        "version": "v1.0.0",
        "audios": audios,
    }
    yield Member(path=METADATA_NAME, content=json.dumps(metadata).encode())


def _groups(defects: Sequence[Defect | None]) -> Iterator[list[int]]:
    """The indices of the utterances of each recording."""
    group: list[int] = []
    for index, defect in enumerate(defects):
        if defect in _OF_FILES:
            yield [index]
            continue
        group.append(index)
        if len(group) == UTTERANCES_A_RECORDING:
            yield group
            group = []
    if group:
        yield group


@dataclass
class _Recording:
    """A podcast under construction: one speaker, with pauses."""

    aid: str
    part: str
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.segments: list[dict[str, Any]] = []
        self._pieces: list[FloatArray] = []
        self._num_samples = 0

    @property
    def path(self) -> str:
        """The path below the folder of the corpus."""
        return f"audio/podcast/P0001/{self.aid}.opus"

    @property
    def duration_s(self) -> float:
        """The duration so far, in seconds."""
        return self._num_samples / SAMPLE_RATE_HZ

    def speak(
        self, defect: Defect | None = None, has_noise: bool = False, past_the_end_s: float = 0.0
    ) -> None:
        """Append a pause and an utterance, and add its segment."""
        self._add(np.zeros(int(self.rng.uniform(0.3, 1.5) * SAMPLE_RATE_HZ), dtype=np.float32))
        speech = utterance(f"gigaspeech {self.aid}", self.rng, defect)
        start_s = self.duration_s
        self._add(speech.samples)
        text = _text_tn(speech.transcript, has_noise, self.rng)
        end_s = self.duration_s + _MARGIN_S + past_the_end_s
        self._note(start_s - _MARGIN_S, end_s, text)

    def add_edges(self) -> None:
        """Append silence, an utterance outside L, and one whose end is after the recording."""
        start_s = self.duration_s + _MARGIN_S
        self._add(np.zeros(int((_SILENCE_S + 2 * _MARGIN_S) * SAMPLE_RATE_HZ), dtype=np.float32))
        self._note(start_s, start_s + _SILENCE_S, "<SIL>")
        self.speak()
        self.segments[-1]["subsets"] = _BESIDE_L
        self.speak(past_the_end_s=_PAST_THE_END_S)

    def opus(self) -> bytes:
        """The Opus file, with room acoustics and continuous background noise."""
        self._add(np.zeros(SAMPLE_RATE_HZ // 2, dtype=np.float32))
        voice = np.concatenate(self._pieces)
        decay_s, wet = self.rng.uniform(0.1, 0.3), self.rng.uniform(0.02, 0.1)
        room = reverberate(voice, SAMPLE_RATE_HZ, decay_s, wet, self.rng)
        recorded = scale_to_peak(add_noise(room, self.rng.uniform(12.0, 35.0), self.rng), 0.8)
        return opus_file(pcm16(recorded), SAMPLE_RATE_HZ)

    def entry(self, opus: bytes) -> dict[str, Any]:
        """The entry in `audios`; `opus` is the content of the file."""
        return {
            "title": f"Demo podcast {self.aid}",
            "url": "",
            "path": self.path,
            "aid": self.aid,
            "source": "podcast",
            "format": "opus",
            "sample_rate": SAMPLE_RATE_HZ,
            "codec": "s16le",
            "channels": 1,
            "md5": hashlib.md5(opus, usedforsecurity=False).hexdigest(),
            "duration": self.duration_s,
            "size": len(opus),
            "speaker": "N/A",
            "category": "Arts",
            "subsets": _SUBSETS[self.part],
            "segments": self.segments,
        }

    def _add(self, samples: FloatArray) -> None:
        self._pieces.append(samples)
        self._num_samples += samples.size

    def _note(self, start_s: float, end_s: float, text: str) -> None:
        segment = {
            "sid": f"{self.aid}_S{len(self.segments):07d}",
            "speaker": "N/A",
            "begin_time": round(start_s, 3),
            "end_time": round(end_s, 3),
            "text_raw": "",
            "text_tn": text,
            "subsets": _SUBSETS[self.part],
        }
        self.segments.append(segment)


def _text_tn(transcript: str, has_noise: bool, rng: np.random.Generator) -> str:
    """The transcript in the format of the corpus: upper case, with tags."""
    words = transcript.upper().split()
    if not words:
        return ""
    middle = (len(words) + 1) // 2
    if has_noise:
        words.insert(middle, "<NOISE>")
    elif rng.random() < _COMMA_SHARE:
        words.insert(middle, "<COMMA>")
    return " ".join([*words, _LAST_MARKS[rng.integers(len(_LAST_MARKS))]])

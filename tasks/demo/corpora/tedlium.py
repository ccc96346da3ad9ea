"""A demo corpus in the distribution format of TED-LIUM 3.

One tgz with whole talks in SPHERE and their STM files.

Defects (see `tasks.demo.speech.utterances`), in training talks only: a truncated SPHERE file (its
last segment has no audio), an STM file without a SPHERE file, a segment without words, one longer
than the teacher's window, wrong transcripts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tasks.demo.formats.archives import Archive, Member
from tasks.demo.formats.sphere import sphere_file
from tasks.demo.speech.acoustics import add_noise, reverberate, scale_to_peak
from tasks.demo.speech.utterances import (
    Defect,
    FloatArray,
    Utterance,
    defect_at,
    pcm16,
    utterance,
)
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

ROOT = "TEDLIUM_release-3"
ARCHIVE_NAME = f"{ROOT}.tgz"
UTTERANCES_A_TALK = (18, 30)
# Margin of a segment around its speech, as in automatic alignments.
_MARGIN_S = 0.1
_FIRST_NAMES = ("Ada", "Ben", "Carla", "Deepak", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas")
_LAST_NAMES = (
    "Abbott",
    "Berger",
    "Castro",
    "Dahl",
    "Evans",
    "Fontaine",
    "Gupta",
    "Hansen",
    "Ito",
    "Jansen",
)
_YEARS = {"train": 2009, "dev": 2011, "test": 2013}
# As in the original: American spelling, and clitics separated from their words.
_SPELLING = {"colour": "color", "favourite": "favorite", "grey": "gray"}
_CLITICS = {"n't": "n 't", "'s": " 's", "'ll": " 'll"}


@dataclass(frozen=True, kw_only=True)
class Talk:
    """A talk and its transcript.

    `samples`: float32 (n,) mono at 16 kHz; `segments`: start and end in seconds, transcript.
    """

    name: str
    samples: FloatArray
    segments: tuple[tuple[float, float, str], ...]


def tedlium_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Archive, ...]:
    """The archive; `on_utterance` is called after each utterance."""
    sizes = {"train": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    return (Archive(name=ARCHIVE_NAME, members=partial(_members, seed, sizes, on_utterance)),)


def _members(
    seed: int, sizes: dict[str, int], on_utterance: Callable[[], None]
) -> Iterator[Member]:
    readme = (
        "Synthetic speech in the layout of TED-LIUM 3, made by Distillery's demo with espeak-ng.\n"
    )
    yield Member(path=f"{ROOT}/README", content=readme.encode())
    for part_index, (part, num_utterances) in enumerate(sizes.items()):
        folder = f"{ROOT}/data" if part == "train" else f"{ROOT}/legacy/{part}"
        first = 0
        for talk_index, num_here in enumerate(_talk_sizes(num_utterances, seed + part_index)):
            rng = np.random.default_rng([seed, part_index, talk_index])
            defects = [
                defect_at(index) if part == "train" else None
                for index in range(first, first + num_here)
            ]
            talk = _talk(_talk_name(part, talk_index), defects, rng, on_utterance)
            truncated_s = talk.segments[-1][0] if Defect.UNREADABLE_AUDIO in defects else None
            big_endian = talk_index % 2 == 1
            yield Member(
                path=f"{folder}/sph/{talk.name}.sph", content=_sph(talk, big_endian, truncated_s)
            )
            yield Member(path=f"{folder}/stm/{talk.name}.stm", content=_stm(talk, part).encode())
            if Defect.MISSING_AUDIO in defects:
                lost = replace(talk, name=f"{talk.name}X", segments=talk.segments[:1])
                yield Member(
                    path=f"{folder}/stm/{lost.name}.stm", content=_stm(lost, part).encode()
                )
            first += num_here


def _talk_sizes(num_utterances: int, seed: int) -> list[int]:
    """Utterances per talk: 18 to 30, fewer if there would be only one talk otherwise."""
    rng = np.random.default_rng(seed)
    sizes: list[int] = []
    while sum(sizes) < num_utterances:
        low, high = UTTERANCES_A_TALK
        wanted = min(int(rng.integers(low, high + 1)), max(num_utterances // 2, 1))
        sizes.append(min(wanted, num_utterances - sum(sizes)))
    return sizes


def _talk_name(part: str, index: int) -> str:
    """Unique names: the year depends on the part, the names on the first hundred talks."""
    first = _FIRST_NAMES[index % len(_FIRST_NAMES)]
    last = _LAST_NAMES[(index // len(_FIRST_NAMES) + 3 * index) % len(_LAST_NAMES)]
    return f"{first}{last}_{_YEARS[part] + 10 * (index // 100)}"


def _talk(
    name: str,
    defects: list[Defect | None],
    rng: np.random.Generator,
    on_utterance: Callable[[], None],
) -> Talk:
    """One speaker in a room, with pauses and continuous background noise."""
    pieces: list[FloatArray] = []
    segments: list[tuple[float, float, str]] = []
    position = 0
    for defect in defects:
        pause = int(rng.uniform(0.3, 1.5) * SAMPLE_RATE_HZ)
        speech = utterance(f"tedlium {name}", rng, defect)
        start_s = (position + pause) / SAMPLE_RATE_HZ
        segments.append(
            (
                start_s - _MARGIN_S,
                start_s + speech.duration_s + _MARGIN_S,
                _transcribed(speech, rng),
            )
        )
        pieces += [np.zeros(pause, dtype=np.float32), speech.samples]
        position += pause + speech.samples.size
        on_utterance()
    pieces.append(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
    hall = reverberate(
        np.concatenate(pieces), SAMPLE_RATE_HZ, rng.uniform(0.15, 0.4), rng.uniform(0.02, 0.15), rng
    )
    recorded = scale_to_peak(add_noise(hall, rng.uniform(12.0, 30.0), rng), 0.8)
    return Talk(name=name, samples=recorded, segments=tuple(segments))


def _transcribed(speech: Utterance, rng: np.random.Generator) -> str:
    """The transcript in the spelling of the corpus; one in fifteen ends with `<unk>`."""
    words = [_SPELLING.get(word, word) for word in speech.transcript.split()]
    text = " ".join(words)
    for joined, apart in _CLITICS.items():
        text = text.replace(joined, apart)
    return f"{text} <unk>" if text and rng.random() < 1 / 15 else text


def _sph(talk: Talk, big_endian: bool, truncated_s: float | None) -> bytes:
    """The SPHERE file, truncated at `truncated_s` if given; the header is that of the whole."""
    content = sphere_file(pcm16(talk.samples), SAMPLE_RATE_HZ, big_endian=big_endian)
    if truncated_s is None:
        return content
    lost = talk.samples.size - int(truncated_s * SAMPLE_RATE_HZ)
    return content[: len(content) - 2 * lost]


def _stm(talk: Talk, part: str) -> str:
    """The STM file, sorted by time.

    In dev and test, the gaps between segments are marked as not scored.
    """
    label = "<NA>" if part == "train" else "<o,f0,female>"
    gap = f"{talk.name} 1 inter_segment_gap"
    lines = [f";; transcript of {talk.name}"]
    position_s = 0.0
    for index, (start_s, end_s, text) in enumerate(talk.segments):
        if part != "train" or index == 0:
            lines.append(
                f"{gap} {position_s:.2f} {start_s:.2f} <o,,unknown> ignore_time_segment_in_scoring"
            )
        lines.append(f"{talk.name} 1 {talk.name} {start_s:.2f} {end_s:.2f} {label} {text}")
        position_s = end_s
    return "\n".join(lines) + "\n"

"""A demo corpus in the distribution format of VoxPopuli.

`asr_en.tsv.gz`, and one tar per year with whole sessions in OGG Vorbis; those of 2009 to 2018 are
empty. A session has several speakers, with pauses; every third utterance also has a pause inside,
which is not part of its `vad`.

Defects (see `tasks.demo.speech.utterances`), in training only: an unreadable session, a row whose
session is missing, a row without text, an utterance longer than the teacher's window, wrong
transcripts. Edge cases: an empty `original_text`, a row of the split `invalid`, a speaker `None`.
"""

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from tasks.demo.formats.archives import Archive, Member, Tree
from tasks.demo.formats.ogg import ogg_file
from tasks.demo.speech.acoustics import add_noise, reverberate, scale_to_peak
from tasks.demo.speech.prose import as_prose
from tasks.demo.speech.utterances import Defect, FloatArray, defect_at, pcm16, utterance
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

YEARS = range(2009, 2021)
UTTERANCES_A_SESSION = 12
SPEAKERS_A_SESSION = 3
_YEAR_OF_PART = {"train": 2019, "dev": 2020, "test": 2020}
_FIRST_SPEAKER = {"train": 90_000, "dev": 95_000, "test": 97_000}
_FIRST_SITTING = {"train": 0, "dev": 100, "test": 200}  # day of the year
_IN_FILES = (Defect.UNREADABLE_AUDIO, Defect.MISSING_AUDIO)
_COLUMNS = (
    "id_", "paragraph_id", "session_id", "speaker_id", "original_text", "normed_text", "decoded",
    "start_time", "end_time", "cer", "wer", "vad", "split", "gender",
)  # fmt: skip
# Margin of a detected piece around its speech.
_MARGIN_S = 0.05
_FRAME = SAMPLE_RATE_HZ // 100

_Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _Session:
    """A recording, None if missing, and its rows."""

    name: str
    ogg: bytes | None
    rows: tuple[_Row, ...]


@dataclass(frozen=True)
class _Sessions:
    """All sessions, generated on first use, since both audio and annotations need them."""

    seed: int
    sizes: Mapping[str, int]
    on_utterance: Callable[[], None]

    @cached_property
    def generated(self) -> tuple[_Session, ...]:
        return tuple(
            _session(part, number, indices, self.seed, self.on_utterance)
            for part, num_utterances in self.sizes.items()
            for number, indices in enumerate(_by_session(part, num_utterances))
        )

    def of_year(self, year: int) -> Iterator[Member]:
        """The members of the archive of a year."""
        readme = f"Synthetic sessions of {year} in the layout of VoxPopuli.\n"
        yield Member(path=f"original/{year}/README", content=readme.encode())
        for session in self.generated:
            if session.ogg is not None and session.name.startswith(str(year)):
                path = f"original/{year}/{session.name}_original.ogg"
                yield Member(path=path, content=session.ogg)

    def annotations(self) -> Iterator[Member]:
        """The table of all sessions."""
        rows = [
            [row[column] for column in _COLUMNS]
            for session in self.generated
            for row in session.rows
        ]
        table = "".join("|".join(fields) + "\n" for fields in [_COLUMNS, *rows])
        yield Member(path="asr_en.tsv.gz", content=gzip.compress(table.encode(), mtime=0))


def voxpopuli_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Archive | Tree, ...]:
    """The annotations and the archives; `on_utterance` is called after each utterance."""
    sizes = {"train": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    sessions = _Sessions(seed, sizes, on_utterance)
    return (
        Tree(members=sessions.annotations),
        *(
            Archive(name=f"original_{year}.tar", members=partial(sessions.of_year, year))
            for year in YEARS
        ),
    )


def _defect(part: str, index: int) -> Defect | None:
    return defect_at(index) if part == "train" else None


def _by_session(part: str, num_utterances: int) -> Iterator[list[int]]:
    """The utterances of each session; utterances with a damaged file have their own session."""
    damaged = [i for i in range(num_utterances) if _defect(part, i) in _IN_FILES]
    intact = [i for i in range(num_utterances) if i not in damaged]
    for first in range(0, len(intact), UTTERANCES_A_SESSION):
        yield intact[first : first + UTTERANCES_A_SESSION]
    for index in damaged:
        yield [index]


def _session(
    part: str, number: int, indices: list[int], seed: int, on_utterance: Callable[[], None]
) -> _Session:
    """Several speakers take turns in a hall with continuous background noise."""
    rng = np.random.default_rng([seed, _FIRST_SPEAKER[part], number])
    month, day = divmod((_FIRST_SITTING[part] + number) % 336, 28)
    name = f"{_YEAR_OF_PART[part]}{month + 1:02d}{day + 1:02d}-0900-PLENARY-{number + 1}"
    audio: list[FloatArray] = []
    rows: list[_Row] = []
    position = 0
    for turn, index in enumerate(indices):
        speaker = _FIRST_SPEAKER[part] + SPEAKERS_A_SESSION * number + turn % SPEAKERS_A_SESSION
        speech = utterance(f"voxpopuli {speaker}", rng, _defect(part, index))
        pieces = _pieces(speech.samples) if index % 3 == 1 else [speech.samples]
        vad: list[tuple[float, float]] = []
        for nth, piece in enumerate(pieces):
            low_s, high_s = (0.8, 2.0) if nth == 0 else (0.4, 0.9)
            pause = int(rng.uniform(low_s, high_s) * SAMPLE_RATE_HZ)
            start_s = (position + pause) / SAMPLE_RATE_HZ
            end_s = start_s + piece.size / SAMPLE_RATE_HZ
            vad.append((round(start_s - _MARGIN_S, 3), round(end_s + _MARGIN_S, 3)))
            audio += [np.zeros(pause, dtype=np.float32), piece]
            position += pause + piece.size
        rows.append(_row(part, index, name, speaker, speech.transcript, vad))
        on_utterance()
    if part == "train" and 0 in indices:
        rows.append(rows[0] | {"id_": f"{rows[0]['id_']}_invalid", "split": "invalid"})
    defect = _defect(part, indices[0])
    ogg = _ogg(audio, rng)
    if defect is Defect.UNREADABLE_AUDIO:
        ogg = ogg[:4] + bytes(byte ^ 0xFF for byte in ogg[4:])
    return _Session(
        name=name, ogg=None if defect is Defect.MISSING_AUDIO else ogg, rows=tuple(rows)
    )


def _pieces(samples: FloatArray) -> list[FloatArray]:
    """Split an utterance at the quietest frame of its middle third."""
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    first, last = len(frames) // 3, 2 * len(frames) // 3
    loudness = np.mean(np.square(frames[first:last]), axis=1)
    cut = (first + int(np.argmin(loudness))) * _FRAME
    return [samples[:cut], samples[cut:]]


def _row(
    part: str,
    index: int,
    session: str,
    speaker: int,
    transcript: str,
    vad: list[tuple[float, float]],
) -> _Row:
    prose = as_prose(transcript)
    normed = prose.lower().removesuffix(".")
    edge = index if part == "train" else None
    return {
        "id_": f"en_{session[:8]}-09:{index // 60 % 60:02d}:{index % 60:02d}_{index}",
        "paragraph_id": str(index),
        "session_id": session,
        "speaker_id": "None" if edge == 3 else str(speaker),
        "original_text": "" if edge == 0 else prose,
        "normed_text": normed,
        "decoded": normed,
        "start_time": str(vad[0][0]),
        "end_time": str(vad[-1][1]),
        "cer": "0.0",
        "wer": "0.0",
        "vad": str(vad),
        "split": part,
        "gender": ("male", "female")[speaker % 2],
    }


def _ogg(audio: list[FloatArray], rng: np.random.Generator) -> bytes:
    silence = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    hall = reverberate(
        np.concatenate([*audio, silence]),
        SAMPLE_RATE_HZ,
        rng.uniform(0.1, 0.3),
        rng.uniform(0.01, 0.05),
        rng,
    )
    recorded = scale_to_peak(add_noise(hall, rng.uniform(15.0, 35.0), rng), 0.8)
    return ogg_file(pcm16(recorded), SAMPLE_RATE_HZ, "VORBIS")

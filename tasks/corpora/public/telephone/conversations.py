"""Shared parts of the telephone corpora of the LDC, with one channel per side of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from storage.outcome import quarantined
from tasks.corpora.base import (
    Licence,
    Member,
    Raw,
    Role,
    Segment,
    Unplanned,
    checked_segment,
    split_by_hash,
)

CHANNELS: Final = {"A": 0, "B": 1}
SPLITS: Final[dict[str, Role]] = {"train": "train", "dev": "validation", "test": "test"}
"""Without official splits, 2.5 % of the calls each are held out, by a hash of their names."""

SECONDS: Final = r"(\d{1,7}(?:\.\d*)?|\.\d+)"
"""Pattern with one group for a time in seconds, never negative and less than four months."""

LDC_LICENCE: Final = Licence(
    name="LDC User Agreement for Non-Members",
    commercial_use=False,
    derivatives=False,
    redistribution=False,
    to_sign="the agreement of the Linguistic Data Consortium, with each order",
    note=(
        "For non-commercial linguistic research and education; organisations that obtained the data"
        " as for-profit members of the LDC may use them commercially. The terms for derived works"
        " were not verified, so they count as not allowed."
    ),
)

_HELD_OUT_PERCENTS: Final = {"dev": 2.5, "test": 2.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """An annotated turn of one side of a call."""

    id: str
    split: str
    call: str
    side: str
    speaker_id: str
    start_s: float
    end_s: float
    text: str

    def to_segment(self, calls: Mapping[str, Member]) -> Segment | Unplanned:
        """The segment of the turn; `calls` maps call names to audio files."""
        if self.end_s <= self.start_s:
            detail = f"{self.start_s} to {self.end_s} s"
            row = quarantined(self.id, "reversed_times", detail)
            return Unplanned(split=self.split, row=row)
        if self.call not in calls:
            return Unplanned(split=self.split, row=quarantined(self.id, "no_audio", self.call))
        return checked_segment(
            id=self.id,
            split=self.split,
            recording_id=self.call,
            speaker_id=self.speaker_id,
            audio=calls[self.call],
            raw_text=self.text,
            channel=CHANNELS[self.side],
            start_s=self.start_s,
            end_s=self.end_s,
        )


def audio_by_call(raw: Raw) -> dict[str, Member]:
    """The SPHERE files by call name; names on old discs are upper-case."""
    return {
        PurePosixPath(member.name).stem.lower(): member
        for suffix in (".SPH", ".sph")
        for member in raw.members(suffix)
    }


def split_of(call: str) -> str:
    """The split of both sides of a call."""
    return split_by_hash(call, _HELD_OUT_PERCENTS, "train")


def centiseconds(start_s: float, end_s: float) -> tuple[int, int]:
    """The times in centiseconds, as used in utterance ids."""
    return round(start_s * 100), round(end_s * 100)


def whole_words(text: str) -> str:
    """The text without word fragments, which begin or end with a dash.

    Whisper usually omits false starts, and spells those that it writes unpredictably.
    """
    return " ".join(word for word in text.split() if not is_fragment(word))


def is_fragment(word: str) -> bool:
    """Whether a word is a fragment: it begins or ends with a dash."""
    return word.startswith("-") or word.endswith("-")


def how_to_order(*numbers: str) -> str:
    """Instructions for ordering a delivery."""
    pages = " and ".join(f"https://catalog.ldc.upenn.edu/{number}" for number in numbers)
    return f"order it from the Linguistic Data Consortium under its user agreement: {pages}"

"""What a corpus is: a frozen value with its sources, its splits, its licence and its readers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Literal, Protocol, TypeAlias

from storage.outcome import Rejected, quarantined
from tasks.corpora.sources import Source

Role = Literal["train", "validation", "test"]

UNDECODABLE: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands in a line where its bytes are not UTF-8."""

_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """What one may do with a corpus, as far as its distributor says; no legal advice."""

    name: str
    commercial_use: bool
    derivatives: bool
    redistribution: bool
    to_sign: str = ""  # or to bring: an account, a form, a membership
    note: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A file among the stored ones: its bytes are `[offset, offset + size)` of `file`.

    With a `column`, it is a value in a Parquet file instead: that of `row`, counted from 0.
    """

    file: str
    name: str
    offset: int
    size: int
    duration_s: float | None = None
    column: str | None = None
    row: int | None = None


class Raw(Protocol):
    """The stored files of one corpus, as a reader sees them."""

    def members(self, suffix: str = "") -> Iterable[Member]:
        """The members of all files whose names end in `suffix`, in order of name."""

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""

    def open(self, member: Member) -> BinaryIO:
        """One member to read and seek in, without bringing all of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A stretch of annotated speech and its audio; `end_s` None is the end of the file.

    Where `pieces_s` are given, the speech is these stretches (start, end) of the recording, one
    after the other, and `start_s` and `end_s` are where the first begins and the last ends.
    """

    id: str
    split: str
    recording_id: str
    speaker_id: str | None
    audio: Member
    raw_text: str
    channel: int = 0
    start_s: float = 0.0
    end_s: float | None = None
    pieces_s: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unplanned:
    """An annotated segment that cannot be planned, and why."""

    split: str
    row: Rejected


@dataclass(frozen=True, slots=True)
class NoReference:
    """A transcript that a corpus's rules drop; `reason` is a snake_case word that is counted."""

    reason: str


Clean: TypeAlias = Callable[[str], str | NoReference]
"""From a transcript as distributed to a reference."""


def numbered_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The lines of a transcript from 1 on, without empty ones; U+FFFD for what is not UTF-8.

    Only a line feed ends a line: the other ends that Unicode knows occur inside texts.
    """
    for number, line in enumerate(data.decode("utf-8", errors="replace").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def malformed(split: str, transcript: Member, number: int, line: str) -> Unplanned:
    """A line of a transcript that does not have the form of its corpus."""
    place = f"{PurePosixPath(transcript.name).stem}:{number}"
    return Unplanned(split=split, row=quarantined(place, "malformed_line", line[:_SHOWN_CHARS]))


def split_by_hash(recording_id: str, percents: Mapping[str, float], rest: str) -> str:
    """The split of a recording in a corpus without official ones: by its name alone, for ever.

    The name's SHA-256, read as a share of 100, falls into the first of `percents` that reaches it.

    >>> split_by_hash("sw02001", {"dev": 2.5, "test": 2.5}, "train")
    'train'
    """
    share = int.from_bytes(sha256(recording_id.encode()).digest()[:8], "big") / 2**64 * 100
    reached = 0.0
    for split, percent in percents.items():
        reached += percent
        if share < reached:
            return split
    return rest


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One of the corpora, in one form of distribution.

    `read` yields one value for each annotated segment, in an order that new files do not disturb.
    `clean` turns a transcript as distributed into a reference, or says why there is none;
    `examples` shows it, and is its test. `hours` are those of each split, as published or, where
    nothing is, estimated. The versions are raised when `read` or `clean` changes its meaning.
    """

    name: str
    title: str
    homepage: str
    licence: Licence
    revision: str
    sources: tuple[Source, ...]
    splits: Mapping[str, Role]
    hours: Mapping[str, float]
    read: Callable[[Raw], Iterator[Segment | Unplanned]]
    clean: Clean
    examples: Mapping[str, str | NoReference]
    form: str = ""  # of several: hub, release
    paper_hours: float | None = None  # in Distil-Whisper's training set; None: not in it
    distributed_gb: float | None = None  # None: not published
    self_contained: bool = False  # every file has its own annotations: no shard crosses files
    whole_recordings: bool = False  # for long-form evaluation: no utterance is too long
    read_version: int = 1
    clean_version: int = 1
    notes: tuple[str, ...] = field(default=())  # what a user should know

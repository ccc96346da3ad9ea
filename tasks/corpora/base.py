"""What a corpus is: a frozen value with its source, its splits, its licence and its readers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal, Protocol

from storage.outcome import LeftOut, quarantined

Role = Literal["train", "validation", "test"]

UNDECODABLE: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands in a line where its bytes are not UTF-8."""

_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """A file as its distributor publishes it; a digest is None where none is published."""

    url: str
    md5: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    splits: tuple[str, ...] = ()  # those that it holds; empty: all

    @property
    def name(self) -> str:
        """The file name, which a mirror keeps."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """What one may do with a corpus."""

    name: str
    commercial_use: bool
    derivatives: bool
    redistribution: bool
    to_sign: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a stored archive: its bytes are `[offset, offset + size)` of `file`."""

    file: str
    name: str
    offset: int
    size: int
    duration_s: float | None = None


class Raw(Protocol):
    """The stored files of one corpus, as a reader sees them."""

    def members(self, suffix: str = "") -> Iterable[Member]:
        """The members of all archives whose names end in `suffix`, in order of name."""

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A stretch of annotated speech and its audio; `end_s` None is the end of the file."""

    id: str
    split: str
    recording_id: str
    speaker_id: str | None
    audio: Member
    raw_text: str
    channel: int = 0
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unplanned:
    """An annotated segment that cannot be planned, and why."""

    split: str
    row: LeftOut


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


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One of the corpora. `version` is raised when `read` or `clean` changes its meaning.

    `read` yields one value for each annotated segment, in an order that new files do not disturb.
    `clean` turns a transcript as distributed into a reference; None: the corpus's rules drop it.
    """

    name: str
    title: str
    homepage: str
    hours: float
    paper_hours: float | None
    licence: Licence
    revision: str
    archives: tuple[Archive, ...]
    splits: Mapping[str, Role]
    read: Callable[[Raw], Iterator[Segment | Unplanned]]
    clean: Callable[[str], str | None]
    read_version: int = 1
    clean_version: int = 1

"""Defines a corpus: a frozen value with sources, splits, licence, reader and text rules."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Literal, Protocol, TypeAlias

from storage.outcome import Rejected, quarantined
from tasks.corpora.sources import Source

Role = Literal["train", "validation", "test"]

SpeakerIds = Literal["corpus", "recording"]
"""Where a speaker id names one person: in all recordings of the corpus, or within one of them."""

UNDECODABLE: Final = "\N{REPLACEMENT CHARACTER}"
"""Replaces bytes that are not UTF-8 when text is decoded."""

_SHOWN_CHARS: Final = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """What a licence permits, as stated by the distributor; not legal advice."""

    name: str
    commercial_use: bool
    derivatives: bool
    redistribution: bool
    to_sign: str = ""  # what access requires: an account, a form, a membership
    note: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a stored file: the bytes `[offset, offset + size)` of `file`.

    With a `column`, it is a value of that Parquet file instead, in `row` (from 0).
    """

    file: str
    name: str
    offset: int
    size: int
    duration_s: float | None = None
    column: str | None = None
    row: int | None = None


class Raw(Protocol):
    """Read access to the stored files of one corpus."""

    def members(self, suffix: str = "") -> Iterable[Member]:
        """The members of all files whose names end with `suffix`, sorted by name."""

    def read(self, member: Member) -> bytes:
        """The bytes of one member."""

    def open(self, member: Member) -> BinaryIO:
        """A member as a seekable file; only the bytes that are read are transferred."""

    def others(self) -> Iterable[str]:
        """The paths below the mirror that belong to no source; they cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """An annotated segment and its audio; `end_s` None is the end of the file.

    With `pieces_s`, the audio is the concatenation of these (start, end) parts of the recording;
    `start_s` and `end_s` are the start of the first and the end of the last.
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
    """An annotated segment that cannot be used, with the reason."""

    split: str
    row: Rejected


@dataclass(frozen=True, slots=True)
class NoReference:
    """A transcript without a usable reference; `reason` is a snake_case word that is counted."""

    reason: str


Clean: TypeAlias = Callable[[str], str | NoReference]
"""Converts a transcript as distributed to a reference."""


def numbered_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """The non-empty lines of a transcript with their numbers, from 1; U+FFFD if not UTF-8.

    Only a line feed ends a line: other Unicode line separators occur inside texts.
    """
    for number, line in enumerate(data.decode("utf-8", errors="replace").split("\n"), start=1):
        if line.strip():
            yield number, line.strip()


def malformed(split: str, transcript: Member, number: int, line: str) -> Unplanned:
    """A transcript line that does not have the format of its corpus."""
    place = f"{PurePosixPath(transcript.name).stem}:{number}"
    return Unplanned(split=split, row=quarantined(place, "malformed_line", line[:_SHOWN_CHARS]))


def hash_position(name: str) -> float:
    """The first 8 bytes of the SHA-256 of a name, scaled to [0, 100).

    >>> round(hash_position("sw02001"), 2)
    98.19
    """
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") / 2**64 * 100


def split_by_hash(recording_id: str, percents: Mapping[str, float], rest: str) -> str:
    """The split of a recording in a corpus without official splits, from its name alone.

    The `hash_position` of the name is compared with the cumulated `percents`.

    >>> split_by_hash("sw02001", {"dev": 2.5, "test": 2.5}, "train")
    'train'
    """
    position = hash_position(recording_id)
    cumulated = 0.0
    for split, percent in percents.items():
        cumulated += percent
        if position < cumulated:
            return split
    return rest


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One corpus in one form of distribution.

    `read` yields one value per annotated segment, in an order that new files do not change. `clean`
    converts a transcript to a reference, or returns why there is none; `examples` documents and
    tests it. `hours` gives the hours of each split, published or estimated, and `mean_utterance_s`
    the mean duration of an utterance in training. `read_version` and
    `clean_version` are raised when the meaning of `read` or `clean` changes.
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
    form: str = ""  # if there are several: hub, release
    mean_utterance_s: float | None = None  # Table 2 of the paper, unless published elsewhere
    paper_hours: float | None = None  # in the training data of the Distil-Whisper paper
    distributed_gb: float | None = None  # None if not published
    self_contained: bool = False  # each file has its own annotations: no shard spans files
    speaker_ids: SpeakerIds = "corpus"  # `recording`: the same id may be another person elsewhere
    read_version: int = 1
    clean_version: int = 1
    notes: tuple[str, ...] = field(default=())  # printed by `distillery corpora`

"""Defines a corpus: a frozen value with sources, splits, licence, reader and text rules."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import PurePosixPath
from typing import BinaryIO, Final, Literal, ParamSpec, Protocol, TypeAlias

from storage.errors import ShardError
from storage.outcome import Rejected, quarantined
from tasks.corpora.sources import Source
from tasks.corpora.validity import fault_of_texts, fault_of_times, shown, storable

Role = Literal["train", "validation", "test"]

SpeakerIds = Literal["corpus", "recording"]
"""Where a speaker id names one person: in all recordings of the corpus, or within one of them."""

UNDECODABLE: Final = "\N{REPLACEMENT CHARACTER}"
"""Replaces bytes that are not UTF-8 when text is decoded."""

_SHOWN_CHARS: Final = 80
_NO_ID: Final = "(no id)"

_P = ParamSpec("_P")


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
    `start_s` and `end_s` are the start of the first and the end of the last. Raises
    `InvalidSegmentError` for texts that are missing or not UTF-8, and for times that are not
    numbers in ascending order up to `MAX_S`; `checked_segment` quarantines such a row instead.
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

    def __post_init__(self) -> None:
        texts = {
            "id": self.id,
            "recording_id": self.recording_id,
            "speaker_id": self.speaker_id,
            "raw_text": self.raw_text,
        }
        fault = fault_of_texts(texts, needed=("id", "recording_id"), optional=("speaker_id",))
        fault = fault or fault_of_times(self.pieces_s or ((self.start_s, self.end_s),))
        if fault is not None:
            name = self.id if isinstance(self.id, str) else shown(self.id)
            raise InvalidSegmentError(self.split, quarantined(name, *fault))


@dataclass(frozen=True, kw_only=True, slots=True)
class Unplanned:
    """An annotated segment that cannot be used, with the reason.

    What UTF-8 cannot encode is escaped in its id and detail, so that they can be stored.
    """

    split: str
    row: Rejected

    def __post_init__(self) -> None:
        row_id, detail = storable(self.row.id) or _NO_ID, storable(self.row.detail)
        if (row_id, detail) != (self.row.id, self.row.detail):
            object.__setattr__(self, "row", replace(self.row, id=row_id, detail=detail))


class InvalidSegmentError(ShardError):
    """A segment with values that a plan cannot hold; `row` is its rejection."""

    def __init__(self, split: str, row: Rejected) -> None:
        super().__init__(f"invalid segment {row.id} of {split}: {row.reason}, {row.detail}")
        self.split, self.row = split, row

    def __reduce__(self) -> tuple[type["InvalidSegmentError"], tuple[str, Rejected]]:
        return InvalidSegmentError, (self.split, self.row)


def _or_unplanned(make: Callable[_P, Segment]) -> Callable[_P, Segment | Unplanned]:
    def attempt(*args: _P.args, **values: _P.kwargs) -> Segment | Unplanned:
        try:
            return make(*args, **values)
        except InvalidSegmentError as error:
            return Unplanned(split=error.split, row=error.row)

    return attempt


checked_segment: Final = _or_unplanned(Segment)
"""The segment of a row with these values, or the row as quarantined if one of them is invalid."""


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


def replaced_up_to(
    end: str, pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str], text: str
) -> str:
    r"""`pattern.sub(by, text)` in linear time, for a pattern that scans ahead to the text `end`.

    Behind the last `end` nothing can match, but each start of the pattern would scan to the end.

    >>> replaced_up_to("]", re.compile(r"\[[^]]*]"), "", "[a] word [[[[[")
    ' word [[[[['
    """
    position = text.rfind(end) + len(end) if end in text else 0
    return pattern.sub(by, text[:position]) + text[position:]


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

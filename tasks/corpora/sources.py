"""The sources of a corpus: files by URL, a data set on the Hub, a manual delivery."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """A file with a URL; digests and size are None if not published.

    `by_hand` has instructions for a file that must be obtained manually; it needs a `mirror`.
    """

    url: str
    md5: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    splits: tuple[str, ...] = ()  # that it contains; empty: all
    by_hand: str = ""

    @property
    def name(self) -> str:
        """The file name, also on a mirror."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFiles:
    """The files of a data set repository on the Hugging Face Hub, at one revision.

    `patterns` maps each split to path patterns (`fnmatch`); files under the empty name are needed
    by every split. Paths are the names of members, and the same on a mirror. Must be the last
    source of a corpus.
    """

    repo: str
    revision: str
    patterns: Mapping[str, tuple[str, ...]]
    gated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A path pattern (`fnmatch`) that a complete delivery matches, and a description."""

    pattern: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A tree of files that is obtained manually; it is hashed in place and never copied.

    It may be anywhere below the `mirror` of the corpus, a local folder or an `s3://` prefix.
    `files` are patterns (`fnmatch`, on paths below the mirror) of the files that are read.
    """

    name: str  # such as LDC2004S13
    title: str
    files: tuple[str, ...]
    expected: tuple[Expected, ...]
    how: str  # instructions for obtaining it
    splits: tuple[str, ...] = ()  # that it contains; empty: all


Source: TypeAlias = Archive | HubFiles | Delivery

"""Where a corpus comes from: files by URL, a data set on the Hub, a delivery on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """A file as its distributor publishes it; a digest is None where none is published.

    `by_hand` says how one gets a file that no program may fetch; its `mirror` must then be named.
    """

    url: str
    md5: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    splits: tuple[str, ...] = ()  # those that it holds; empty: all
    by_hand: str = ""

    @property
    def name(self) -> str:
        """The file name, which a mirror keeps."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class HubFiles:
    """The files of a data set repository on the Hugging Face Hub, at one revision.

    `patterns` gives the paths of each split, as `fnmatch` understands them; what matches the
    patterns under the empty name is needed by every split. The files keep their paths: they are
    the names of members, and a mirror keeps them too. The last of a corpus's sources.
    """

    repo: str
    revision: str
    patterns: Mapping[str, tuple[str, ...]]
    gated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What must lie somewhere in a delivery: a pattern of paths (`fnmatch`), and what that is."""

    pattern: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A tree of files that one orders and brings by hand; hashed where it lies, never copied.

    It lies anywhere below the corpus's `mirror`, a local folder or an `s3://` one; `files` are the
    patterns (`fnmatch`, against the path below the mirror) of the files that a reader may ask for.
    """

    name: str  # such as LDC2004S13
    title: str
    files: tuple[str, ...]
    expected: tuple[Expected, ...]
    how: str  # one gets it
    splits: tuple[str, ...] = ()  # those that it holds; empty: all


Source: TypeAlias = Archive | HubFiles | Delivery

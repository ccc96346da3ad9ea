"""The parts of a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flows.state.utterances.samples import Sample
from flows.tables.figures import Figures
from tasks.evaluate.findings import Claim


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class Table:
    """A table; `is_folded`, it is shown once it is asked for, such as beside a chart of it."""

    kind: ClassVar = "table"
    figures: Figures
    is_folded: bool = False


@dataclass(frozen=True)
class Charts:
    """Charts side by side, as SVG in which all text from outside is escaped already."""

    kind: ClassVar = "charts"
    svgs: Sequence[str]


@dataclass(frozen=True)
class Slider:
    """The sweep: `values` is what the script shows for each threshold, beside a chart."""

    kind: ClassVar = "slider"
    columns: Sequence[str]
    values: dict[str, Any]
    chart: Charts


@dataclass(frozen=True)
class Listening:
    """Utterances to listen to, each with the URL of its audio."""

    kind: ClassVar = "listening"
    samples: Sequence[tuple[Sample, str]]


@dataclass(frozen=True)
class Claims:
    """Claims of the paper with their verdicts; with a `summary` they are shown once asked for."""

    kind: ClassVar = "claims"
    claims: Sequence[Claim]
    summary: str = ""


@dataclass(frozen=True)
class Entry:
    """A line of a lineage: `link` is a path below the root or a URL, `digest` its SHA-256."""

    name: str
    text: str
    link: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Entries:
    """A list of where things come from or are."""

    kind: ClassVar = "entries"
    title: str
    entries: Sequence[Entry]


Part = Text | Table | Charts | Slider | Listening | Claims | Entries


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page; without parts it says in `missing` how to make what it would show."""

    id: str
    title: str
    parts: Sequence[Part] = ()
    missing: str = ""

"""A table of figures, as a value: what shows it decides how."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A table of figures, as texts.

    The first `num_keys` columns name a row. `footer` has rows of totals. A name of a column may
    have several lines.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    footer: Sequence[Sequence[str | Text]] = ()
    num_keys: int = 1

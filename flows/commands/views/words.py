"""How the views write numbers and lists of reasons."""

from collections.abc import Iterator, Mapping
from typing import Final

_MANY_HOURS: Final = 10.0


def hours_text(hours: float) -> str:
    """Two decimals for a few hours, one for many."""
    return f"{hours:,.1f}" if hours >= _MANY_HOURS else f"{hours:.2f}"


def percent_text(value: float | None) -> str:
    """Two decimals, or `-` for no value."""
    return "-" if value is None else f"{value:.2f}"


def reason_lines(by_corpus: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A line for each corpus that has reasons, with the most frequent reason first."""
    for corpus, counts in by_corpus.items():
        if counts:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            yield f"  {corpus}: {', '.join(f'{reason} {count:,}' for reason, count in ordered)}"

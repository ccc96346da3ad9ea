"""How numbers with their intervals, and lists of reasons, are written."""

from collections.abc import Iterator, Mapping
from typing import Final

from tasks.evaluate.findings import Interval

_MANY_HOURS: Final = 10.0


def hours_text(hours: float) -> str:
    """Two decimals for a few hours, one for many."""
    return f"{hours:,.1f}" if hours >= _MANY_HOURS else f"{hours:.2f}"


def moment(time: str) -> str:
    """A time as receipts state it, for people.

    >>> moment("2026-11-29T01:59:04+00:00")
    '2026-11-29 01:59:04 UTC'
    """
    return time.replace("T", " ").replace("+00:00", " UTC")


def percent_text(value: float | None) -> str:
    """Two decimals, or `-` for no value."""
    return "-" if value is None else f"{value:.2f}"


def reason_lines(by_corpus: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A line for each corpus that has reasons, with the most frequent reason first."""
    for corpus, counts in by_corpus.items():
        if counts:
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            yield f"  {corpus}: {', '.join(f'{reason} {count:,}' for reason, count in ordered)}"


def rate_text(percent: float | None, interval: Interval | None = None) -> str:
    """`15.38 (13.9-16.9)`: a rate, which is never negative, and its interval; `-` for none."""
    if percent is None:
        return "-"
    if interval is None:
        return f"{percent:.2f}"
    return f"{percent:.2f} ({interval[0]:.1f}-{interval[1]:.1f})"


def change_text(value: float | None, unit: str = "") -> str:
    """`+1.85`: a difference or a change; `-` for none."""
    return "-" if value is None else f"{value:+.2f}{unit}"


def ends_text(interval: Interval | None) -> str:
    """`1.2 to 2.5`; `-` for none."""
    return "-" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"


def speed_text(factor: float, ends: Interval) -> str:
    """`2.12 (1.98-2.25)`: a relative speed with the lowest and highest of all rounds."""
    return f"{factor:.2f} ({ends[0]:.2f}-{ends[1]:.2f})"

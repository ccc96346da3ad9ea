"""How the sections write rates with their intervals."""

from tasks.evaluate.findings import Interval


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

"""What all charts share: size, colours, axes, legend and a description in words."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 560
FONT: Final = 13
LETTER: Final = 7.2
"""The width of a letter, roughly; no font is known here."""

_LIGHT: Final = (
    "#2f6db5", "#c03a48", "#1d7a32", "#8a6d00", "#0e7490", "#9b2f77", "#57606a", "#004488",
    "#a8511b", "#1b1f24",
)  # fmt: skip
_DARK: Final = (
    "#79b8ff", "#ff8f99", "#6fd086", "#e0c04f", "#5cc8e6", "#e38ac0", "#a0a9b4", "#a9bdff",
    "#f2a677", "#e8eaed",
)  # fmt: skip


def _style() -> str:
    light = "".join(f".chart .s{n}{{color:{colour}}}" for n, colour in enumerate(_LIGHT))
    dark = "".join(f".chart .s{n}{{color:{colour}}}" for n, colour in enumerate(_DARK))
    return (
        ".chart{color:#1b1f24}.chart .back{fill:#fff}.chart .grid{stroke:#d5d9de}"
        f".chart .quiet{{color:#57606a}}{light}"
        # paper stays white
        "@media screen and (prefers-color-scheme:dark){"
        ".chart{color:#e8eaed}.chart .back{fill:#14171b}.chart .grid{stroke:#39414b}"
        f".chart .quiet{{color:#a0a9b4}}{dark}}}"
    )


_STYLE: Final = _style()


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` on pixels from `first` to `last`."""

    low: float
    high: float
    first: float
    last: float

    def pixel(self, value: float) -> float:
        """Where a value is; the middle if there is only one value."""
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.first + share * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Round values on the scale, four to seven of them unless it has no length."""
        return ticks(self.low, self.high)


def series(number: int) -> str:
    """The class of the colour of a series."""
    return f"s{number % len(_LIGHT)}"


def ticks(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten in a range, about five of them.

    >>> ticks(0, 100), ticks(-10, 40), ticks(0, 2500)
    ([0, 20, 40, 60, 80, 100], [-10, 0, 10, 20, 30, 40], [0, 500, 1000, 1500, 2000, 2500])
    """
    if high <= low:
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 5, 10) if rough <= power * one * (1 + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    found = [round(number * step, 12) for number in range(first, last + 1)]
    return [int(one) if one == int(one) else one for one in found]


def top(values: Iterable[float]) -> float:
    """A round value that none of the values exceeds, to end an axis at; 1 without values."""
    highest = max((one for one in values if math.isfinite(one)), default=0.0)
    if highest <= 0:
        return 1.0
    step = ticks(0, highest)[1]
    return step * math.ceil(highest / step - 1e-9)


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text; `kind` is a class."""
    of_kind = f' class="{kind}"' if kind else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="currentColor"{of_kind}>{escape(words)}</text>'


def vertical_axis(scale: Scale, left: float, right: float, label: str) -> Iterator[str]:
    """Lines across the chart with their values on the left, and the label above them."""
    for value in scale.ticks():
        y = scale.pixel(value)
        yield f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}" fill="none"/>'
        yield text(left - 6, y + 4, f"{value:g}", "end", "quiet")
    yield text(left, scale.last - 10, label)


def horizontal_axis(scale: Scale, bottom: float, label: str) -> Iterator[str]:
    """Values below the chart, and the label below them."""
    for value in scale.ticks():
        x = scale.pixel(value)
        yield text(x, bottom + 17, f"{value:g}", "middle", "quiet")
    yield text((scale.first + scale.last) / 2, bottom + 36, label, "middle")


def legend(
    names: Sequence[str], marks: Sequence[str], kinds: Sequence[str] = ()
) -> tuple[list[str], float]:
    """Names with their marks in rows from the top, and the height that they take.

    A mark is drawn at its own origin, in 18 by 10 pixels. `kinds` are the classes of their colours,
    by default one after the other.
    """
    kinds = kinds or [series(number) for number in range(len(names))]
    parts: list[str] = []
    x, y = 8.0, 16.0
    for name, mark, kind in zip(names, marks, kinds, strict=True):
        width = 24 + LETTER * len(name) + 14
        if x > 8 and x + width > WIDTH:
            x, y = 8.0, y + 18
        parts.append(f'<g class="{kind}" transform="translate({x:.1f} {y - 9:.1f})">{mark}</g>')
        parts.append(text(x + 24, y, name))
        x += width
    return parts, y + 8 if names else 0.0


def document(parts: Sequence[str], height: float, title: str, description: str) -> str:
    """The SVG of a chart; title and description are what a screen reader says."""
    body = "\n".join(parts)
    # inlined into one page, the names of several charts must differ
    name = "c" + hashlib.sha256(f"{title}{description}{body}".encode()).hexdigest()[:10]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img"'
            f' aria-labelledby="{name}-title {name}-desc" viewBox="0 0 {WIDTH} {height:.0f}"'
            f' font-family="system-ui, sans-serif" font-size="{FONT}">',
            f'<title id="{name}-title">{escape(title)}</title>',
            f'<desc id="{name}-desc">{escape(description)}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{height:.0f}"/>',
            body,
            "</svg>",
            "",
        ]
    )

"""A plain line chart as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 720
_HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 170, 20, 45
_COLOURS: Final = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb5566", "#004488",
    "#ddaa33", "#000000",
)  # fmt: skip


def curves(by_name: Mapping[str, Sequence[tuple[float, float]]], across: str, upwards: str) -> str:
    """An SVG of named lines through points (x, y), x from 0 on and y from 0 to 100."""
    most = max((x for points in by_name.values() for x, _ in points), default=1) or 1

    def at(x: float, y: float) -> tuple[float, float]:
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + width * x / most, _TOP + height * (1 - y / 100)

    right, bottom = at(most, 0)
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text((_LEFT + right) / 2, _HEIGHT - 8, across, "middle"),
        _text(_LEFT, 12, upwards, "start"),
    ]
    for share in range(5):
        level, place = 25 * share, most * share / 4
        y, x = at(0, level)[1], at(place, 0)[0]
        drawn.append(f'<path d="M{_LEFT} {y:.1f}H{right:.1f}" stroke="#ddd"/>')
        drawn.append(_text(_LEFT - 6, y + 4, f"{level}", "end"))
        drawn.append(_text(x, bottom + 16, f"{place:g}", "middle"))
    for number, (name, points) in enumerate(by_name.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dots = [at(x, y) for x, y in sorted(points)]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        drawn.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(_text(right + 12, _TOP + 12 + 18 * number, name, "start", colour))
    return "\n".join([*drawn, "</svg>", ""])


def _text(x: float, y: float, words: str, anchor: str, colour: str = "black") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"

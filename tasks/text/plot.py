"""A line chart as SVG."""

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


def line_chart(
    by_name: Mapping[str, Sequence[tuple[float, float]]],
    x_label: str,
    y_label: str,
    *,
    min_x: float = 0,
    max_y: float = 100,
) -> str:
    """An SVG of named lines through points (x, y), with x from `min_x` and y from 0 to `max_y`."""
    max_x = max((x for points in by_name.values() for x, _ in points), default=min_x + 1)
    range_x = (max_x - min_x) or 1

    def pixel(x: float, y: float) -> tuple[float, float]:
        width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + width * (x - min_x) / range_x, _TOP + height * (1 - y / max_y)

    right, bottom = pixel(min_x + range_x, 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text((_LEFT + right) / 2, _HEIGHT - 8, x_label, "middle"),
        _text(_LEFT, 12, y_label, "start"),
    ]
    for quarter in range(5):
        y_value, x_value = max_y * quarter / 4, min_x + range_x * quarter / 4
        y, x = pixel(0, y_value)[1], pixel(x_value, 0)[0]
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right:.1f}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{y_value:g}", "end"))
        parts.append(_text(x, bottom + 16, f"{x_value:g}", "middle"))
    for number, (name, points) in enumerate(by_name.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        pixels = " ".join("{:.1f},{:.1f}".format(*pixel(x, y)) for x, y in sorted(points))
        parts.append(
            f'<polyline points="{pixels}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(_text(right + 12, _TOP + 12 + 18 * number, name, "start", colour))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str, colour: str = "black") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"

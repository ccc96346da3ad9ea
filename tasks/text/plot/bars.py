"""Bars: a histogram, and groups of horizontal bars."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from tasks.text.plot.frame import (
    LETTER,
    WIDTH,
    Scale,
    document,
    horizontal_axis,
    legend,
    series,
    text,
    top,
    vertical_axis,
)

_HEIGHT: Final = 240
_LEFT, _RIGHT, _BOTTOM = 52, 18, 46
_BAR: Final = 16
_MARK: Final = '<rect width="18" height="10" fill="currentColor"/>'


def histogram(
    edges: Sequence[float],
    amounts: Sequence[float],
    x_label: str,
    y_label: str,
    *,
    limit: float | None = None,
    title: str = "",
) -> str:
    """An SVG of amounts between neighbouring edges; there is one edge more than amounts.

    What lies above `limit` has another colour. Raises `ValueError` for another number of edges.
    """
    if len(edges) != len(amounts) + 1:
        raise ValueError(f"{len(edges)} edges for {len(amounts)} amounts; expected one more edge")
    x_scale = Scale(edges[0], edges[-1], _LEFT, WIDTH - _RIGHT)
    y_scale = Scale(0, top(amounts), _HEIGHT - _BOTTOM, 28)
    parts = [*vertical_axis(y_scale, _LEFT, WIDTH - _RIGHT, y_label)]
    parts += horizontal_axis(x_scale, _HEIGHT - _BOTTOM, x_label)
    for low, high, amount in zip(edges, edges[1:], amounts, strict=False):
        first, last, y = x_scale.pixel(low), x_scale.pixel(high), y_scale.pixel(amount)
        is_above = limit is not None and low >= limit
        shape = (
            f'x="{first + 0.5:.1f}" y="{y:.1f}" width="{max(0.5, last - first - 1):.1f}"'
            f' height="{y_scale.first - y:.1f}"'
        )
        tip = f"<title>{low:g} to {high:g}: {amount:,.4g}</title>"
        parts.append(
            f'<g class="{series(int(is_above))}"><rect {shape} fill="currentColor">{tip}</rect></g>'
        )
    if limit is not None and edges[0] <= limit <= edges[-1]:
        x = x_scale.pixel(limit)
        parts.append(
            f'<path d="M{x:.1f} {y_scale.last:.1f}V{y_scale.first:.1f}" stroke="currentColor"'
            ' stroke-dasharray="5 4"/>'
        )
    highest = max(range(len(amounts)), key=lambda index: amounts[index], default=None)
    words = "no bars" if highest is None else (
        f"most between {edges[highest]:g} and {edges[highest + 1]:g}: {amounts[highest]:,.4g};"
        f" {sum(amounts):,.4g} in all"
    )  # fmt: skip
    return document(parts, _HEIGHT, title or f"{y_label} by {x_label}", words)


def bar_chart(groups: Mapping[str, Mapping[str, float]], unit: str, *, title: str) -> str:
    """An SVG of horizontal bars by group and name, each with its amount in a `unit` beside it.

    Names have the same colour in all groups.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    parts, above = legend(names, [_MARK] * len(names))
    widest = max((len(name) for name in groups), default=0)
    left = min(WIDTH / 3, 16 + LETTER * widest)
    highest = max((value for group in groups.values() for value in group.values()), default=0.0)
    decimals = 2 if any(value % 1 for group in groups.values() for value in group.values()) else 0
    room = 14 + LETTER * len(f"{highest:,.{decimals}f}")
    scale = Scale(0, highest or 1.0, left, WIDTH - room)
    y = above + 6
    for group, amounts in groups.items():
        middle = y + _BAR * len(amounts) / 2
        parts.append(text(left - 8, middle + 4, group, "end"))
        for name, amount in amounts.items():
            width = scale.pixel(amount) - left
            tip = f"<title>{escape(group)}, {escape(name)}: {amount:,.4g} {escape(unit)}</title>"
            parts.append(
                f'<g class="{series(names.index(name))}"><rect x="{left:.1f}" y="{y + 1:.1f}"'
                f' width="{width:.1f}" height="{_BAR - 3}" fill="currentColor">{tip}</rect></g>'
            )
            parts.append(text(left + width + 6, y + 12, f"{amount:,.{decimals}f}", kind="quiet"))
            y += _BAR
        y += 10
    words = "; ".join(
        f"{group}: {', '.join(f'{name} {amount:,.4g}' for name, amount in amounts.items())}"
        for group, amounts in groups.items()
    )
    return document(parts, y, title, f"in {unit}: {words}")

"""Estimates with their intervals, side by side by group."""

from collections.abc import Mapping
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
)

Estimate = tuple[float, tuple[float, float] | None]
"""A value, and its interval if it has one."""

_ROW: Final = 17
_BOTTOM: Final = 46
_DOT: Final = '<circle cx="9" cy="5" r="4.5" fill="{fill}" stroke="currentColor" stroke-width="2"/>'


def interval_chart(
    groups: Mapping[str, Mapping[str, Estimate]],
    x_label: str,
    *,
    title: str,
    hollow: Mapping[str, str] | None = None,
) -> str:
    """An SVG of dots with whiskers by group and name, from 0.

    A name has the same colour in all groups. Those in `hollow` are circles in the colour of the
    name that they belong to, such as the value of a paper.
    """
    hollow = hollow or {}
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    filled = [name for name in names if name not in hollow]
    kinds = {name: series(filled.index(hollow.get(name, name))) for name in names}
    marks = [_DOT.format(fill="none" if name in hollow else "currentColor") for name in names]
    parts, above = legend(names, marks, list(kinds.values()))
    ends = [
        end
        for group in groups.values()
        for value, interval in group.values()
        for end in (value, *(interval or ()))
    ]
    widest = max((len(name) for name in groups), default=0)
    left = min(WIDTH / 2.5, 16 + LETTER * widest)
    scale = Scale(0, top(ends), left, WIDTH - 20)
    y = above + 6
    end_y = y + sum(_ROW * len(one) + 8 for one in groups.values())
    for value in scale.ticks():
        x = scale.pixel(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {y - 4:.1f}V{end_y - 4:.1f}"/>')
    for number, (group, estimates) in enumerate(groups.items()):
        height = _ROW * len(estimates)
        if number:
            parts.append(f'<path class="grid" d="M{left:.1f} {y - 4:.1f}H{WIDTH - 20}"/>')
        parts.append(text(left - 8, y + height / 2 + 3, group, "end"))
        for name, (value, interval) in estimates.items():
            mark = _estimate(name, value, interval, scale, y + _ROW / 2, is_hollow=name in hollow)
            parts.append(f'<g class="{kinds[name]}">{mark}</g>')
            y += _ROW
        y += 8
    parts += horizontal_axis(scale, y - 4, x_label)
    return document(parts, y + _BOTTOM, title, f"{x_label}: {_words(groups)}")


def _estimate(
    name: str,
    value: float,
    interval: tuple[float, float] | None,
    scale: Scale,
    y: float,
    *,
    is_hollow: bool,
) -> str:
    x, fill = scale.pixel(value), "none" if is_hollow else "currentColor"
    between = f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval else ""
    whisker = ""
    if interval:
        low, high = (scale.pixel(end) for end in interval)
        whisker = (
            f'<path d="M{low:.1f} {y - 4:.1f}v8m0 -4H{high:.1f}m0 -4v8" stroke="currentColor"'
            ' stroke-width="1.5" fill="none"/>'
        )
    return (
        f'{whisker}<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="currentColor"'
        f' stroke-width="2"><title>{escape(name)}: {value:.4g}{between}</title></circle>'
    )


def _words(groups: Mapping[str, Mapping[str, Estimate]]) -> str:
    return "; ".join(
        f"{group}: {', '.join(f'{name} {value:.4g}' for name, (value, _) in estimates.items())}"
        for group, estimates in groups.items()
    )

"""Lines through points, with shaded intervals, and points that stand alone."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from tasks.text.plot.frame import (
    WIDTH,
    Scale,
    document,
    horizontal_axis,
    legend,
    series,
    vertical_axis,
)

Point = tuple[float, float]
Band = tuple[float, float, float]
"""x, and the lower and upper end of an interval of y."""

_HEIGHT: Final = 300
_LEFT, _RIGHT, _BOTTOM = 52, 18, 46
_MAX_MARKED: Final = 30
_LINE_MARK: Final = '<path d="M0 5H18" stroke="currentColor" stroke-width="2.5" fill="none"/>'


def line_chart(
    by_name: Mapping[str, Sequence[Point]],
    x_label: str,
    y_label: str,
    *,
    min_x: float = 0,
    max_y: float = 100,
    points: Mapping[str, Sequence[Point]] | None = None,
    bands: Mapping[str, Sequence[Band]] | None = None,
    limit: float | None = None,
    title: str = "",
) -> str:
    """An SVG of named lines through points (x, y), with x from `min_x` and y from 0 to `max_y`.

    `points` are drawn as diamonds without a line, such as those of a paper. `bands` shade the
    intervals of the lines of the same names. `limit` is a vertical line at an x. A line that leaves
    the chart at the top is cut off there.
    """
    points, bands = points or {}, bands or {}
    xs = [x for many in (*by_name.values(), *points.values()) for x, _ in many]
    names = [*by_name, *points]
    marks = [_LINE_MARK] * len(by_name) + [_diamond(9, 5)] * len(points)
    parts, above = legend(names, marks)
    x_scale = Scale(min_x, max(xs, default=min_x + 1), _LEFT, WIDTH - _RIGHT)
    y_scale = Scale(0, max_y, above + _HEIGHT - _BOTTOM, above + 28)
    parts += vertical_axis(y_scale, _LEFT, WIDTH - _RIGHT, y_label)
    parts += horizontal_axis(x_scale, above + _HEIGHT - _BOTTOM, x_label)
    for number, name in enumerate(names):
        parts.append(f'<g class="{series(number)}">')
        if name in by_name:
            parts += _line(name, by_name[name], bands.get(name, ()), x_scale, y_scale)
        else:
            parts += _diamonds(name, points[name], x_scale, y_scale)
        parts.append("</g>")
    if limit is not None:
        x, y = x_scale.pixel(limit), y_scale.last
        parts.append(
            f'<path class="limit" d="M{x:.1f} {y:.1f}V{y_scale.first:.1f}" stroke="currentColor"'
            f' stroke-dasharray="5 4" data-first="{x_scale.first}" data-last="{x_scale.last}"'
            f' data-low="{x_scale.low:g}" data-high="{x_scale.high:g}"/>'
        )
    shown = title or f"{y_label} by {x_label}"
    return document(parts, above + _HEIGHT, shown, "; ".join(_words(by_name, points)))


def _line(
    name: str, line: Sequence[Point], band: Sequence[Band], x_scale: Scale, y_scale: Scale
) -> Iterator[str]:
    if band:
        ordered = sorted(band)
        edge = [(x, high) for x, _, high in ordered]
        edge += [(x, low) for x, low, _ in reversed(ordered)]
        shape = _pixels(edge, x_scale, y_scale)
        yield f'<polygon points="{shape}" fill="currentColor" fill-opacity="0.15"/>'
    yield (
        f'<polyline points="{_pixels(sorted(line), x_scale, y_scale)}" fill="none"'
        ' stroke="currentColor" stroke-width="2" stroke-linejoin="round"/>'
    )
    for x, y in line if len(line) <= _MAX_MARKED else ():
        if y <= y_scale.high:
            place = f'cx="{x_scale.pixel(x):.1f}" cy="{y_scale.pixel(y):.1f}"'
            yield f'<circle {place} r="3" fill="currentColor">{_tip(name, x, y)}</circle>'


def _diamonds(name: str, line: Sequence[Point], x_scale: Scale, y_scale: Scale) -> Iterator[str]:
    for x, y in line:
        yield _diamond(x_scale.pixel(x), y_scale.pixel(y), _tip(name, x, y))


def _diamond(x: float, y: float, inside: str = "") -> str:
    shape = f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"
    return f'<path d="{shape}" fill="none" stroke="currentColor" stroke-width="2">{inside}</path>'


def _pixels(line: Sequence[Point], x_scale: Scale, y_scale: Scale) -> str:
    within = ((x, min(y, y_scale.high)) for x, y in line)
    return " ".join(f"{x_scale.pixel(x):.1f},{y_scale.pixel(y):.1f}" for x, y in within)


def _tip(name: str, x: float, y: float) -> str:
    return f"<title>{escape(name)}: {y:.4g} at {x:g}</title>"


def _words(*many: Mapping[str, Sequence[Point]]) -> Iterator[str]:
    for by_name in many:
        for name, line in by_name.items():
            if line:
                first, last = min(line), max(line)
                yield f"{name}: {first[1]:.4g} at {first[0]:g}, {last[1]:.4g} at {last[0]:g}"

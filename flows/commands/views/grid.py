"""The view of a grid: what its runs resulted in, beside the paper's tables."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from configs.grid import short_name
from flows.commands.render import Figures, Part, View
from flows.commands.views.words import hours_text, percent_text
from flows.state.grid.report import GridGroup, GridReport, GridRow, PaperComparison

_HEADER_CHARS: Final = 10


def grid_view(report: GridReport) -> View:
    """The runs by their settings, by evaluated corpus, and the paper's results."""
    return View(report, _parts(report))


def _parts(report: GridReport) -> Iterator[Part]:
    yield _by_settings(report)
    yield from _legend(report)
    if report.teacher_wer_percent_by_corpus:
        yield _by_corpus(report)
    for table in report.paper:
        yield _paper(table)
    if report.paper:
        yield "here: the mean of the runs above with this setting, the others being as in the base"
    yield from _pending(report)


def _by_settings(report: GridReport) -> Figures:
    ranges = ("seeds", "WER %\nfrom", "WER %\nto") if report.has_seeds else ()
    return Figures(
        title=f"Runs of {report.name}",
        columns=(
            *map(_header, report.settings or ("base",)),
            "hours\nkept", "kept %", "updates", "mean\nWER %", *ranges, "above\nteacher",
            "above\nbase",
        ),
        rows=[_group(report, group) for group in report.groups],
        num_keys=max(1, len(report.settings)),
    )  # fmt: skip


def _group(report: GridReport, group: GridGroup) -> Sequence[str]:
    seeds = (
        str(group.num_runs),
        percent_text(group.lowest_wer_percent),
        percent_text(group.highest_wer_percent),
    )
    row = next(row for row in report.rows if row.values == group.values)
    return (
        *(_values(report, group.values) or (report.name,)),
        "-" if group.hours is None else hours_text(group.hours),
        "-" if group.kept_percent is None else f"{group.kept_percent:.1f}",
        "-" if row.num_steps is None else f"{row.num_steps:,}",
        percent_text(group.wer_percent),
        *(seeds if report.has_seeds else ()),
        percent_text(group.above_teacher),
        "*" if group.is_reference else percent_text(group.above_reference),
    )


def _legend(report: GridReport) -> Iterator[str]:
    if any(group.is_reference for group in report.groups):
        yield "* the settings of the base, with which the others are compared"
    if report.teacher_wer_percent is not None:
        yield (
            f"mean: over the evaluated corpora; the teacher's is"
            f" {percent_text(report.teacher_wer_percent)} %"
        )


def _by_corpus(report: GridReport) -> Figures:
    corpora = list(report.teacher_wer_percent_by_corpus)
    keys = [*report.settings, "seed"] if report.has_seeds or not report.settings else None
    return Figures(
        title="WER % by corpus",
        columns=(*map(_header, keys or report.settings), *corpora),
        rows=[
            (
                *_values(report, row.values),
                *([str(row.seed)] if keys else []),
                *(percent_text(row.wer_percent_by_corpus.get(corpus)) for corpus in corpora),
            )
            for row in report.rows
            if row.wer_percent_by_corpus
        ],
        footer=[
            (
                "teacher",
                *[""] * (len(keys or report.settings) - 1),
                *(percent_text(rate) for rate in report.teacher_wer_percent_by_corpus.values()),
            )
        ],
        num_keys=len(keys or report.settings),
    )


def _paper(table: PaperComparison) -> Figures:
    more = list(table.lines[0].more)
    return Figures(
        title=f"Table {table.number} of the paper: {table.title}",
        columns=(
            _folded(table.setting), *map(_folded, more), "in domain\nWER %", "out of it\nWER %",
            "average\nWER %", "here\nWER %",
        ),
        rows=[
            (
                line.setting,
                *(f"{line.more[name]:,g}" for name in more),
                f"{line.in_domain:.1f}",
                f"{line.out_of_domain:.1f}",
                f"{line.average:.1f}",
                percent_text(line.here),
            )
            for line in table.lines
        ],
    )  # fmt: skip


def _pending(report: GridReport) -> Iterator[str]:
    if report.pending:
        yield f"To do once for all runs: everything from {report.pending} on"
    waiting: dict[str, list[GridRow]] = {}
    for row in report.rows:
        if row.pending:
            waiting.setdefault(row.pending, []).append(row)
    for stage, rows in waiting.items():
        yield f"To do, from {stage} on: {', '.join(row.name for row in rows)}"


def _values(report: GridReport, values: Any) -> tuple[str, ...]:
    return tuple(_word(values[setting]) for setting in report.settings)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _header(setting: str) -> str:
    r"""The last key of a setting, in lines.

    >>> _header("filter.max_wer_percent")
    'max_wer_\npercent'
    """
    words = short_name(setting).rpartition(".")[2] or setting
    return "\n".join(
        line.replace("_ ", "_")
        for line in textwrap.wrap(words.replace("_", "_ "), _HEADER_CHARS, break_long_words=False)
    )


def _folded(words: str) -> str:
    return textwrap.fill(words, _HEADER_CHARS, break_long_words=False)

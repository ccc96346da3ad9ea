"""The view of a grid: what its runs resulted in, beside the paper's tables."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from configs.grid import setting_path
from configs.grid_runs import config_name
from flows.commands.terminal.render import Part, View
from flows.state.grid.report import GridGroup, GridReport, GridRow, PaperComparison
from flows.tables.figures import Figures
from flows.tables.words import hours_text, percent_text

_HEADER_CHARS: Final = 10


def grid_view(report: GridReport) -> View:
    """The runs by their settings, by evaluated corpus, and the paper's results."""
    return View(report, _parts(report))


def _parts(report: GridReport) -> Iterator[Part]:
    yield _by_settings(report)
    yield from _legend(report)
    if any(row.wer_percent_by_corpus for row in report.rows):
        yield _by_corpus(report)
        yield from map(_paper, report.paper)
        if report.paper:
            yield "here: the mean of the runs with this setting, all others being as in the base"
    yield from _pending(report)


def _by_settings(report: GridReport) -> Figures:
    ranges = ("seeds", "WER %\nfrom", "WER %\nto") if report.has_seeds else ()
    return Figures(
        title=f"Runs of {report.name}",
        columns=(
            *_headers(report),
            "hours\nkept", "kept %", "updates", "mean\nWER %", *ranges, "above\nteacher",
            "above\nbase",
        ),
        rows=[_group(report, group) for group in report.groups],
        num_keys=len(_headers(report)),
    )  # fmt: skip


def _group(report: GridReport, group: GridGroup) -> Sequence[str]:
    seeds = (
        str(group.num_runs),
        percent_text(group.lowest_wer_percent),
        percent_text(group.highest_wer_percent),
    )
    return (
        *_keys(report, group),
        "-" if group.hours is None else hours_text(group.hours),
        "-" if group.kept_percent is None else f"{group.kept_percent:.1f}",
        "-" if group.num_steps is None else f"{group.num_steps:,}",
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
    for group in report.groups:
        if group.label and not group.is_reference:
            yield f"{group.label}: {', '.join(_differences(report, group))}"


def _by_corpus(report: GridReport) -> Figures:
    corpora = list(report.teacher_wer_percent_by_corpus)
    seed = ("seed",) if report.has_seeds else ()
    num_keys = len(_headers(report)) + len(seed)
    return Figures(
        title="WER % by corpus",
        columns=(*_headers(report), *seed, *corpora),
        rows=[
            (
                *_keys(report, row),
                *([str(row.seed)] if seed else []),
                *(percent_text(row.wer_percent_by_corpus.get(corpus)) for corpus in corpora),
            )
            for row in report.rows
            if row.wer_percent_by_corpus
        ],
        footer=[
            (
                "teacher",
                *[""] * (num_keys - 1),
                *(percent_text(rate) for rate in report.teacher_wer_percent_by_corpus.values()),
            )
        ],
        num_keys=num_keys,
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
                *(f"{value:,}" for value in line.more.values()),
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


def _headers(report: GridReport) -> tuple[str, ...]:
    """The columns that name a run, or the runs of the same settings."""
    if any(row.label for row in report.rows):
        return ("run",)
    return tuple(map(_header, report.settings)) or ("base",)


def _keys(report: GridReport, one: GridRow | GridGroup) -> tuple[str, ...]:
    """The cells of these columns."""
    if one.label:
        return (one.label,)
    values = tuple(_word(one.values[setting]) for setting in report.settings)
    return values or (config_name(report.base),)


def _differences(report: GridReport, group: GridGroup) -> Iterator[str]:
    for setting, value in group.values.items():
        if value != report.reference[setting]:
            yield f"{setting} {_word(value)}"


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)


def _header(setting: str) -> str:
    r"""The keys of a setting inside its block, in lines, with the corpus that it is of.

    >>> _header("filter.max_wer_percent"), _header("corpora.ami.filter.unit")
    ('max_wer_\npercent', 'ami\nunit')
    """
    block, *keys = setting_path(setting)
    if block == "corpora":
        keys.remove("filter")
    return "\n".join(
        line.replace("_ ", "_")
        for key in keys
        for line in textwrap.wrap(key.replace("_", "_ "), _HEADER_CHARS, break_long_words=False)
    )


def _folded(words: str) -> str:
    return textwrap.fill(words, _HEADER_CHARS, break_long_words=False)

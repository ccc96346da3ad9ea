"""The last lines of a run: what it resulted in, in ten lines at most."""

import shlex
from collections import Counter
from collections.abc import Iterator
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from flows.commands.terminal.render import Fact, Part
from flows.state.summary import RunSummary
from flows.tables.words import hours_text, rate_text
from storage.manifest import Manifest
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.result import Report

_NUM_REASONS: Final = 3


def in_short_parts(summary: RunSummary, config: str) -> Iterator[Part]:
    """What was kept, how good the student is, where both are, and what to do next.

    Nothing where no manifest is published.
    """
    if summary.published is None:
        return
    named = shlex.quote(config)
    yield ""
    yield "In short"
    yield from _data(summary.published)
    if summary.report is None:
        yield Fact("next", f"distillery run {named}")
        return
    yield from _student(summary.report)
    yield Fact("claims", _claims(summary.report))
    yield Fact("folder", summary.student or "")
    yield Fact("next", f"distillery student export {named} DIR")


def _data(manifest: Manifest) -> Iterator[Part]:
    totals = manifest.totals["all"]
    share = f" ({totals.hours / totals.hours_heard:.0%})" if totals.hours_heard else ""
    yield Fact(
        "kept",
        f"{hours_text(totals.hours)} of {hours_text(totals.hours_heard)} h{share},"
        f" {totals.windows:,} of {totals.windows_heard:,} windows",
    )
    reasons = Counter(totals.dropped) + Counter(totals.quarantined)
    if reasons:
        most = ", ".join(f"{name} {num:,}" for name, num in reasons.most_common(_NUM_REASONS))
        more = len(reasons) - _NUM_REASONS
        yield Fact("rejected", most + (f", and {more} more reasons" if more > 0 else ""))
    yield Fact("manifest", f"{manifest.name} {manifest.number}, {manifest.digest[:16]}")


def _student(report: Report) -> Iterator[Part]:
    parameters = report.student.num_parameters / report.teacher.num_parameters
    speed = report.relative_speed
    yield Fact("student", f"{parameters:.0%} of the teacher's parameters, {speed:.2f} × its speed")
    rates = {
        one.model: one for one in report.averages if one.condition == CLEAN and one.domain == "all"
    }
    if STUDENT in rates and TEACHER in rates:
        student, teacher = rates[STUDENT], rates[TEACHER]
        sets = "set" if student.num_sets == 1 else "sets"
        yield Fact(
            "WER %",
            f"student {rate_text(student.wer_percent, student.wer_interval)}, teacher"
            f" {rate_text(teacher.wer_percent, teacher.wer_interval)}: mean of"
            f" {student.num_sets} {sets}",
        )


def _claims(report: Report) -> str:
    """How many claims of the paper have each verdict."""
    num = Counter(one.verdict for one in report.claims)
    return f"{num['holds']} hold, {num['fails']} fail, {num['not_measured']} were not measured"

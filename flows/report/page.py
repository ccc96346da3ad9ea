"""The page as HTML."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from flows.pages import render
from flows.report.data import data_sections
from flows.report.facts import Facts
from flows.report.models import model_sections
from flows.report.origin import origin_sections
from flows.report.section import Section
from flows.state.status import relisted_advice
from flows.tables.words import moment

ABOVE: Final = "../../"
"""The root as seen from the page."""

_TEMPLATE: Final = Path(__file__).with_name("report.html")


def render_page(facts: Facts) -> str:
    """The page about a run; links to stored files are relative, as seen from `reports/NAME/`.

    Reads the evidence of all scored shards, and a few utterances with their audio. Raises
    `IntegrityError` for a file that is damaged.
    """
    return render(
        _TEMPLATE,
        {
            "title": f"Report on {facts.name}",
            "as_of": moment(max(_finished(facts), default="")),
            "tiles": tuple(_tiles(facts)),
            "remarks": tuple(_remarks(facts)),
            "sections": _sections(facts),
            "above": ABOVE,
        },
    )


def _sections(facts: Facts) -> Sequence[Section]:
    return (*data_sections(facts), *model_sections(facts), *origin_sections(facts))


def _finished(facts: Facts) -> Iterator[str]:
    """When the latest of it was made; the page itself has no date, so that it is reproducible."""
    for state in facts.states:
        for shard in state.shards():
            yield from (receipt.finished_at for receipt in shard.receipts.values())
    if facts.published is not None:
        yield facts.published.published_at
    if facts.student is not None:
        yield facts.student.finished_at


def _tiles(facts: Facts) -> Iterator[tuple[str, str, str]]:
    """The figures that matter most: each with its name, and a remark."""
    if facts.published is not None:
        total = facts.published.totals["all"]
        share = f"of {total.hours_heard:,.2f} labelled" if total.hours_heard else ""
        yield f"{total.hours:,.2f}", "hours kept", share
    if (report := facts.report) is not None:
        for model, rate in report.mean_wer_percent.items():
            of = "the mean of all sets" if len(report.by_split) > 1 else next(iter(report.by_split))
            if rate is not None:
                yield f"{rate:.2f} %", f"WER of the {model}", of
        yield f"{report.relative_speed:.2f} ×", "speed of the student", "of the teacher's"
        verdicts = [one.verdict for one in report.claims]
        if num_tried := sum(one != "not_measured" for one in verdicts):
            yield f"{verdicts.count('holds')} of {num_tried}", "of the paper's claims hold", ""


def _remarks(facts: Facts) -> Iterator[str]:
    """What is not as it should be."""
    if failures := facts.status.failures:
        yield f"{len(failures)} shards failed; `distillery status CONFIG` says why."
    if missing := sum(line.shards.missing for line in facts.status.stages):
        yield f"{missing} shards are not made yet; `distillery run CONFIG` continues."
    if advice := relisted_advice(facts.states):
        yield advice

"""The page of results, in Markdown: the same tables and charts as the reports of the runs."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from benchmarks.paper.steps import CONFIG, CORPUS, Step, Timing
from flows.commands.views.grid import grid_view
from flows.report.facts import Facts
from flows.report.section import Charts, Claims, Section, Table, Text
from flows.state.grid.report import GridReport
from flows.tables.figures import Figures
from flows.tables.words import percent_text, rate_text
from tasks.evaluate.findings import CLEAN, Claim, SetResult
from tasks.text.display import markdown
from tasks.text.plot.lines import Point, line_chart

PICTURES: Final = "pictures/results"


@dataclass
class Page:
    """Markdown, and the pictures that it shows by their names in `docs/pictures/results`."""

    lines: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)

    def add(self, *lines: str) -> None:
        """Add lines, and an empty one."""
        self.lines += [*lines, ""]

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table; cells are escaped."""
        cells = [[markdown(cell) for cell in row] for row in rows]
        self.add(
            f"| {' | '.join(columns)} |",
            f"|{'---|' * len(columns)}",
            *(f"| {' | '.join(row)} |" for row in cells),
        )

    def bullets(self, items: Sequence[str]) -> None:
        """Add a list, if there are items; they are escaped."""
        if items:
            self.add(*(f"- {markdown(one)}" for one in items))

    def figures(self, figures: Figures) -> None:
        """Add a table of figures under its title."""
        self.add(f"**{markdown(figures.title)}**")
        columns = [one.replace("\n", " ") for one in figures.columns]
        self.table(
            columns, ([str(cell) for cell in row] for row in (*figures.rows, *figures.footer))
        )

    def picture(self, name: str, svg: str) -> None:
        """Add a picture, whose name is its description too."""
        file = f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.svg"
        self.pictures[file] = svg
        self.add(f"![{name}]({PICTURES}/{file})")

    def section(self, section: Section, title: str = "") -> None:
        """Add a section of a report; what only a browser can show is left out."""
        self.add(f"### {title or section.title}")
        if section.missing and not section.parts:
            self.add(section.missing)
        numbers = count(1)
        for part in section.parts:
            if isinstance(part, Text):
                self.add(part.text)
            elif isinstance(part, Table):
                self.figures(part.figures)
            elif isinstance(part, Charts):
                for svg in part.svgs:
                    self.picture(f"{title or section.title} {next(numbers)}", svg)
            elif isinstance(part, Claims):
                self.table(*claims_table({"here": part.claims}))


def intro(facts: Facts) -> Iterator[str]:
    """What was done, and what figures are of."""
    teacher = facts.config.label.teacher
    yield (
        f"The experiments of Distil-Whisper (arXiv 2311.00430) with the teacher `{teacher.path}`"
        f" and the speech of [{CONFIG}](../{CONFIG}), on {os.cpu_count()} cores. This page is"
        " written by `make paper SPEECH=DIR`; nothing on it is edited."
    )
    if (manifest := facts.published) is not None:
        yield ""
        yield (
            f"Manifest {manifest.number} of {manifest.name} (`{manifest.digest[:16]}`). Seeds are 0"
            " unless others are named. Intervals are 95 % intervals of a bootstrap over speakers."
        )


def headline(
    students: Mapping[str, Facts], seeds: GridReport
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """A row for the teacher, each student and each other model: its size and its error rates.

    The last column has the range of a student that was trained with several seeds, on `CORPUS`.
    """
    reports = [facts.report for facts in students.values() if facts.report]
    results = [one for report in reports for one in report.sets if one.condition == CLEAN]
    sets = sorted({one.set for one in results})
    columns = ["model", "decoder layers", "parameters", *sets, f"{CORPUS}, by seeds"]
    return columns, [*_models(students, sets, seeds)]


def _models(
    students: Mapping[str, Facts], sets: Sequence[str], seeds: GridReport
) -> Iterator[Sequence[str]]:
    seen = set[str]()
    for label, facts in students.items():
        if (report := facts.report) is None:
            continue
        rates = {(one.model, one.set): one for one in report.sets if one.condition == CLEAN}
        for model in report.models:
            name = label if model.name == "student" else model.name
            if name not in seen:
                seen.add(name)
                yield (
                    name,
                    str(model.decoder_layers or "-"),
                    f"{model.num_parameters / 1e6:.1f} M",
                    *(_rate(rates.get((model.name, one))) for one in sets),
                    _range_over_seeds(seeds, name),
                )


def _range_over_seeds(seeds: GridReport, label: str) -> str:
    rates = [
        rate
        for row in seeds.rows
        if row.label == label and (rate := row.wer_percent_by_corpus.get(CORPUS)) is not None
    ]
    if len(rates) < 2:
        return ""
    return f"{percent_text(min(rates))} to {percent_text(max(rates))} ({len(rates)})"


def _rate(result: SetResult | None) -> str:
    return rate_text(result.wer_percent, result.wer_interval) if result else "-"


def claims_table(
    claims: Mapping[str, Sequence[Claim]],
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """The paper's claims, its figures, and for each student what was found and the verdict."""
    first = next(iter(claims.values()))
    columns = ["claim", "source", "paper"]
    columns += [column for label in claims for column in (label, "verdict")]
    rows = [
        [
            one.claim, one.source, one.paper,
            *(
                cell
                for of_student in claims.values()
                for cell in (of_student[number].ours, of_student[number].verdict.replace("_", " "))
            ),
        ]
        for number, one in enumerate(first)
    ]  # fmt: skip
    return columns, rows


def hours_chart(points: Sequence[Point], teacher: float | None) -> str:
    """Word error rate by hours of training speech, above the teacher's."""
    lines = {"student": list(points)}
    if teacher is not None and points:
        lines["teacher"] = [(0.0, teacher), (max(hours for hours, _ in points), teacher)]
    highest = max((rate for one in lines.values() for _, rate in one), default=100.0)
    return line_chart(lines, "hours of training speech", "word error rate, %", max_y=1.2 * highest)


def steps_table(steps: Iterable[Step], timings: Mapping[str, Timing]) -> Iterator[Sequence[str]]:
    """A row for each command: what it does, and the minutes that it has taken."""
    total = 0.0
    for step in steps:
        timing = timings.get(step.command)
        total += timing.seconds if timing else 0.0
        state = "not started" if timing is None else f"{timing.seconds / 60:.0f}"
        if timing is not None and not timing.is_done:
            state += ", not finished"
        yield step.title, step.command, state
    yield "all", "make paper", f"{total / 60:.0f}"


def grid_part(page: Page, grid: GridReport) -> None:
    """Add the tables of a grid, and its lines as a list."""
    remarks: list[str] = []
    for part in grid_view(grid).parts:
        if isinstance(part, Figures):
            page.bullets(remarks)
            remarks = []
            page.figures(part)
        elif str(part).strip():
            remarks.append(str(part))
    page.bullets(remarks)

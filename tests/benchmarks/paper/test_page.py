"""The page of results: tables and pictures of reports in Markdown, whatever their text."""

from pathlib import Path

import pytest

from benchmarks.paper.__main__ import write_page
from benchmarks.paper.page import PICTURES, Page, claims_table, hours_chart, steps_table
from benchmarks.paper.steps import STEPS, Timing
from flows.report.section import Charts, Section, Table, Text
from flows.tables.figures import Figures
from tasks.evaluate.findings import Claim

FIGURES = Figures(title="Hours", columns=("corpus", "hours\nkept"), rows=[("a|b", "1.5")])


def test_a_section_is_written_with_its_tables_and_pictures(tmp_path: Path) -> None:
    page = Page()
    parts = (
        Text("Every hour."),
        Table(FIGURES),
        Charts(["<svg>1</svg>"]),
        Charts(["<svg>2</svg>"]),
    )
    page.section(Section(id="hours", title="Hours, in all", parts=parts))
    stale = tmp_path / PICTURES / "old.svg"
    stale.parent.mkdir(parents=True)
    stale.touch()

    written = write_page(page, tmp_path / "results.md")

    text = written[0].read_text()
    assert text.startswith("### Hours, in all\n\nEvery hour.\n")
    assert "| corpus | hours kept |\n|---|---|\n| a\\|b | 1.5 |" in text
    assert [one.read_text() for one in written[1:]] == ["<svg>1</svg>", "<svg>2</svg>"]
    for picture in written[1:]:
        assert f"({picture.relative_to(tmp_path)})" in text
    assert not stale.exists()


def test_a_section_without_anything_says_what_makes_it() -> None:
    page = Page()
    page.section(Section(id="noise", title="Noise", missing="Set `evaluate.noise`."))
    assert page.lines == ["### Noise", "", "Set `evaluate.noise`.", ""]


def test_claims_of_students_stand_side_by_side() -> None:
    claims = [
        Claim(
            name="size", claim="half", source="Table 5", paper="49 %", ours=ours, values={},
            interval=None, verdict=verdict, reason="",
        )
        for ours, verdict in (("76 %", "fails"), ("49 %", "holds"))
    ]  # fmt: skip
    columns, rows = claims_table({"four": claims[:1], "two": claims[1:]})
    assert columns == ["claim", "source", "paper", "four", "verdict", "two", "verdict"]
    assert rows == [["half", "Table 5", "49 %", "76 %", "fails", "49 %", "holds"]]


def test_the_chart_of_hours_has_the_teacher_beside_the_student() -> None:
    points = [(3.0, 10.0), (6.0, 8.0)]
    assert "teacher" in hours_chart(points, 5.0)
    assert "teacher" not in hours_chart(points, None)


@pytest.mark.parametrize(
    ("timing", "told"),
    [
        (None, "not started"),
        (Timing(90.0, is_done=False), "2, not finished"),
        (Timing(600.0, is_done=True), "10"),
    ],
)
def test_steps_say_how_far_they_are(timing: Timing | None, told: str) -> None:
    timings = {} if timing is None else {STEPS[0].command: timing}
    first, *_ = steps_table(STEPS, timings)
    assert first == (STEPS[0].title, STEPS[0].command, told)

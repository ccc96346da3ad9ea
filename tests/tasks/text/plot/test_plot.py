"""Charts: where things are in them, what a screen reader says, and text from outside."""

import re
from xml.etree import ElementTree

import pytest

from tasks.text.plot.bars import bar_chart, histogram
from tasks.text.plot.frame import Scale, ticks, top
from tasks.text.plot.intervals import interval_chart
from tasks.text.plot.lines import line_chart

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '"><script>alert(1)</script>'

CHARTS = {
    "lines": line_chart(
        {EVIL: [(0, 1), (10, 90)], "b": [(0, 2), (10, 5)]},
        EVIL,
        "y",
        points={"paper": [(5, 50)]},
        bands={"b": [(0, 1, 3), (10, 4, 6)]},
        limit=5,
        title=EVIL,
    ),
    "histogram": histogram([0, 2, 4], [3.0, 1.0], EVIL, "hours", limit=2),
    "bars": bar_chart({EVIL: {"wer": 214, EVIL: 6}}, "rows", title=EVIL),
    "intervals": interval_chart(
        {EVIL: {"teacher": (4.2, (2.5, 5.1)), "paper's teacher": (3.2, None)}},
        EVIL,
        title=EVIL,
        hollow={"paper's teacher": "teacher"},
    ),
    "nothing": line_chart({}, "x", "y"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_a_file_of_its_own_that_describes_itself(name: str) -> None:
    reader = ElementTree.XMLPullParser(("start",))
    reader.feed(CHARTS[name])
    root = next(iter(reader.read_events()))[1]
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    title, desc, style = root[0], root[1], root[2]
    assert [one.tag for one in (title, desc, style)] == [f"{SVG}title", f"{SVG}desc", f"{SVG}style"]
    assert title.text
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert "prefers-color-scheme:dark" in (style.text or "")
    assert "script" not in {one.tag.removeprefix(SVG) for one in root.iter()}


def test_charts_in_one_page_have_names_of_their_own() -> None:
    names = re.findall(r' id="([^"]+)"', "".join(CHARTS.values()))
    assert len(names) == len(set(names)) == 2 * len(CHARTS)


def test_ticks_are_round_and_an_axis_ends_at_one() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert ticks(3, 3) == [3]
    assert (top([]), top([0.0]), top([7.3]), top([100])) == (1.0, 1.0, 8.0, 100.0)
    assert Scale(0, 10, 100, 200).pixel(2.5) == 125
    assert Scale(5, 5, 100, 200).pixel(5) == 150


def test_a_line_ends_at_the_top_of_the_chart() -> None:
    (line,) = re.findall(
        r'polyline points="([^"]+)"', line_chart({"a": [(0, 50), (1, 900)]}, "x", "y")
    )
    (_, middle), (_, end) = (pair.split(",") for pair in line.split())
    assert 0 < float(end) < float(middle)
    assert "<circle" in CHARTS["lines"] and "<polygon" in CHARTS["lines"]


def test_what_is_above_the_limit_has_another_colour() -> None:
    bars = re.findall(r'<g class="(s\d)"><rect [^>]*height="([\d.]+)"', CHARTS["histogram"])
    assert [kind for kind, _ in bars] == ["s0", "s1"]
    assert float(bars[0][1]) == pytest.approx(3 * float(bars[1][1]), rel=0.01)
    assert "most between 0 and 2: 3; 4 in all" in CHARTS["histogram"]
    with pytest.raises(ValueError, match="2 edges for 2 amounts"):
        histogram([0, 1], [1.0, 2.0], "x", "y")


def test_a_value_of_the_paper_has_the_colour_of_its_model() -> None:
    marks = re.findall(r'<g class="(s\d)">(.*?)</g>', CHARTS["intervals"], re.DOTALL)
    (ours, ours_mark), (papers, papers_mark) = marks[-2:]
    assert ours == papers == "s0"
    assert 'fill="currentColor"' in ours_mark and 'fill="none"' in papers_mark
    assert "4.2 (2.5 to 5.1)" in ours_mark


def test_whole_amounts_have_no_decimals() -> None:
    assert ">214<" in CHARTS["bars"]
    assert ">1.50<" in bar_chart({"a": {"b": 1.5}}, "hours", title="t")

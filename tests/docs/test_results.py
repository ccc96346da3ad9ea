"""The README shows the first table of the page of results, as it is."""

from pathlib import Path

from tests.docs.blocks import DOCS

README = DOCS.parent / "README.md"
HEADING = "## The paper in small"


def first_table(path: Path, heading: str) -> list[str]:
    lines = path.read_text().partition(heading)[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    return lines[start:end]


def test_the_table_of_the_readme_is_that_of_the_results() -> None:
    shown = first_table(README, HEADING)
    assert shown == first_table(DOCS / "results.md", "## Models")
    assert {"teacher", "two-layers", "four-layers"} <= {row.split("|")[1].strip() for row in shown}

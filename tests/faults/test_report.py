"""The page of results is made from the files of the experiments alone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults import report as page
from tests.faults.report import Report

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def test_experiments_are_shown_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(page.FOLDER, str(tmp_path))
    good = Report("test_kills", "Kills at random", seed=15, seconds=61.4, passed=True)
    good.add("SIGKILL", 1_200, "same manifest")
    good.write()
    Report("test_races", "Races", seconds=1.0).write()
    assert page.read(tmp_path) == [good, Report("test_races", "Races", seconds=1.0)]
    text = page.page(page.read(tmp_path), NOW)
    assert "28 November 2026, 1 of 2 experiments passed" in text
    assert "`test_kills`: passed in 61 s, seed 15." in text
    assert "| SIGKILL | 1,200 | same manifest |" in text
    assert "`test_races`: **failed** in 1 s." in text


def test_experiments_of_one_title_share_a_table() -> None:
    several = [Report(f"test_flips[{kind}]", "Flips", seconds=1.0, passed=True) for kind in "ab"]
    for one in several:
        one.add(one.name, 3, "found")
    text = page.page(several, NOW)
    assert text.count("## Flips") == text.count("| injected") == 1
    assert "`test_flips`, 2 times in 2 s: all passed." in text
    several[1].passed = False
    assert "in 2 s: **failed**: `test_flips[b]`." in page.page(several, NOW)


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(page.FOLDER, raising=False)
    Report("test_kills", "Kills").write()
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no results"):
        page.main(str(tmp_path), str(tmp_path / "page.md"))


def test_the_page_on_record_was_written_by_this_program() -> None:
    shown = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    assert shown.startswith(page.HEADER)
    assert "**failed**" not in shown

"""The page about a run: what it shows, where it is, and that it is written once."""

import json
import re
from base64 import b64decode
from html import unescape
from pathlib import Path
from typing import Any

from flows.report.data import SWEPT
from tasks.audio import decode
from tests.flows.running import Run, copied, tiny


def page_of(run: Run) -> str:
    return (run.root / run.json("report")["path"]).read_text()


def sweep_in(page: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="sweep">(.*?)</script>', page)
    return json.loads(text)


def shown(line: dict[str, Any]) -> list[str]:
    """A line of `sweep --json` as the page has it."""
    percents = (line["kept_percent"], line["paper_kept_percent"])
    return [
        line["corpus"],
        f"{line['max_wer_percent']:g}{' *' if line['is_configured'] else ''}",
        f"{line['kept_windows']:,}",
        f"{line['dropped_windows']:,}",
        f"{line['kept_hours']:,.2f}",
        f"{line['dropped_hours']:,.2f}",
        *("-" if one is None else f"{one:.1f}" for one in percents),
    ]


def test_a_run_ends_with_its_page_and_it_is_written_once(finished: Run, tmp_path: Path) -> None:
    (path,) = (finished.root / "reports" / "tiny").glob("*.html")
    before = path.stat().st_mtime_ns
    found = finished.json("report")
    assert found == {
        "path": f"reports/tiny/{path.name}",
        "url": path.absolute().as_uri(),
        "is_new": False,
    }
    assert path.stat().st_mtime_ns == before
    copy = tmp_path / "report.html"
    printed = finished.distillery("report", "tiny.yaml", "--output", str(copy)).stdout
    assert printed.split() == [path.absolute().as_uri()]
    links = re.findall(r'href="(file:[^"]+)"', copy.read_text())
    assert any(link.endswith("/manifests/tiny/00001.json") for link in links)
    assert all(Path(unescape(link).removeprefix("file://")).is_file() for link in links)


def test_the_thresholds_are_those_of_the_command(finished: Run) -> None:
    sweep = sweep_in(page_of(finished))
    words = ("sweep", "tiny.yaml", "--json", "--thresholds", ",".join(map(str, SWEPT)))
    lines = json.loads(finished.distillery(*words).stdout)["lines"]
    several = len({line["corpus"] for line in lines}) > 2
    expected = [shown(line) for line in lines if several or line["corpus"] != "all"]
    found = [row for rows in sweep["rows"] for row in rows]
    assert sorted(found) == sorted(expected)
    assert sweep["rows"][sweep["first"]][0][1].endswith(" *")


def test_the_page_shows_the_run_and_needs_nothing_else(finished: Run) -> None:
    page = page_of(finished)
    for words in ("Hours of speech", "Rejected rows", "Training", "The paper&#39;s claims"):
        assert words in page
    loaded = re.findall(r'(?:src|srcset|data)="(?!data:audio/mpeg;base64,)[^"]*"', page)
    assert (loaded, re.findall(r"@import|url\(", page)) == ([], [])
    report = finished.json("evaluate")
    assert f"{report['mean_wer_percent']['student']:.2f} %" in page
    assert all(claim["reason"] in unescape(page) for claim in report["claims"])
    assert finished.digest in page


def test_recordings_are_in_the_page(finished: Run) -> None:
    found = re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', page_of(finished))
    assert 0 < len(found) <= 12
    for data in found:
        audio = decode(b64decode(data))
        assert audio.rate_hz == 16_000
        assert len(audio.samples) > 1_000


def test_what_does_not_exist_yet_is_left_out_with_the_command_that_makes_it(
    tmp_path: Path,
) -> None:
    run = tiny(tmp_path)
    page = page_of(run)
    for command in ("run CONFIG --until score", "run CONFIG --until distil", "evaluate CONFIG"):
        assert f"<code>distillery {command}</code>" in page
    assert "<audio" not in page
    assert "Licences" in page


def test_another_threshold_has_another_page(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    before = copied(finished, folder).json("report")
    assert not before["is_new"]
    after = tiny(folder, filter={"max_wer_percent": 3}).json("report")
    assert after["is_new"] and after["path"] != before["path"]
    assert len(list((folder / "tiny-data" / "reports" / "tiny").glob("*.html"))) == 2

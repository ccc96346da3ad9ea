"""What a listener marks in a browser, and the next run heeds."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from configs.marks import read_marks
from storage.manifest import load
from storage.schema import row_ids
from storage.store import Store
from tests.flows.browse.listener import listening
from tests.flows.browser import why_not
from tests.flows.running import Run, copied, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


def test_a_listener_filters_plays_and_marks_and_the_next_run_heeds_it(
    finished: Run, tmp_path: Path
) -> None:
    run = copied(finished, tmp_path)
    with listening(run) as page:
        all_rows = page.text("found")
        page.click("[data-preset='outcome=dropped']")
        page.until(lambda: "kept" not in page.rows() and page.rows(), "the rejected")
        page.set("reason", "wer")
        page.until(lambda: set(page.rows()) == {"wer"}, "those rejected for their error rate")
        page.set("min_wer", "100000")
        page.until(lambda: page.text("found").startswith("0 of "), "nothing")
        page.set("min_wer", "")
        page.until(lambda: set(page.rows()) == {"wer"}, "those rejected for their error rate")
        page.press("n")
        page.settle()
        rescued = page.text("name")
        assert page.run("return document.querySelector('#alignment .alignment').children.length")
        page.press(" ")
        page.until(lambda: page.run("return audio.currentTime") > 0, "sound")
        page.press(" ", "k")
        page.settle()
        assert page.text("totals").endswith("0 to exclude, 1 to keep")
        page.click("[data-preset='outcome=kept']")
        page.until(lambda: set(page.rows()) == {"kept"}, "the kept")
        page.press("n", "n", "x", "p", "x", "x")  # the last one removes the mark again
        page.settle()
        assert page.text("totals").endswith("1 to exclude, 1 to keep")
        page.press("n", "x", "u")
        page.settle()
        refused = page.text("name")
        assert page.text("totals").endswith("1 to exclude, 1 to keep")
        assert page.run("return document.getElementById('mark-exclude').ariaPressed") == "true"
        page.press("/", rescued)
        page.click("[data-preset='']")
        page.until(lambda: page.text("found") == all_rows, "all of them")
        page.press("?")
        page.until(lambda: page.run("return keys.open"), "the help")
        assert page.problems == []
    marks = {one.id: (one.corpus, one.mark) for one in read_marks(tmp_path / "marks.jsonl")}
    assert marks == {rescued: ("librispeech", "keep"), refused: ("librispeech", "exclude")}
    heed_the_marks(run, rescued, refused)


def heed_the_marks(run: Run, rescued: str, refused: str) -> None:
    """Run again with the marks, and compare the manifests."""
    before = kept_in(run)
    assert refused in before and rescued not in before
    expensive = {stage: run.receipts(stage) for stage in ("normalise", "label", "score")}
    marked = tiny(run.folder, filter={"marks": {"file": "marks.jsonl"}})
    marked.run("--until", "publish")
    assert kept_in(marked) == before - {refused} | {rescued}
    assert {stage: marked.receipts(stage) for stage in expensive} == expensive
    difference = marked.distillery("manifest", "diff", "tiny.yaml", "1", "2").stdout
    assert "marks" in difference
    assert "excluded" in marked.distillery("status", "tiny.yaml").stdout
    explained = marked.distillery("explain", "tiny.yaml", refused).stdout
    assert "dropped at filter: excluded (it is marked exclude)" in explained
    assert "mark       keep" in marked.distillery("explain", "tiny.yaml", rescued).stdout


def kept_in(run: Run) -> set[str]:
    """The utterances of the newest manifest."""
    store = Store(str(run.root))
    files = [entry.files["filter"].path for entry in load(store, "tiny").content.entries]
    tables = (pq.read_table(run.root / path) for path in files)
    return {name for table in tables for name in row_ids(table)}

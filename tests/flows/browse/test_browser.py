"""The listening room in a real browser: filters, keys, sound, and marks that the next run heeds."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from configs.marks import read_marks
from storage.manifest import load
from storage.schema import row_ids
from storage.store import Store
from tests.flows.browser import FLAGS, LIMIT_S, why_not
from tests.flows.running import COMMAND, Run, copied, tiny
from tests.processes import environment, running, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser with a new profile that logs what a console shows."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="distillery-chromium-") as profile:
        for flag in (*FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


class Listener:
    """Somebody at the page."""

    def __init__(self, driver: Any, url: str) -> None:
        self._driver = driver
        driver.get(url)
        self.until(lambda: self.rows(), "rows")

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self._driver).send_keys(*keys).perform()

    def click(self, selector: str) -> None:
        self._driver.find_element("css selector", selector).click()

    def set(self, name: str, value: str) -> None:
        """Set a filter as if it had been typed or chosen."""
        self.run(
            "const field = document.getElementById('filters').elements.namedItem(arguments[0]);"
            "field.value = arguments[1]; field.dispatchEvent(new Event('input', {bubbles: true}))",
            name,
            value,
        )

    def run(self, script: str, *values: Any) -> Any:
        return self._driver.execute_script(script, *values)

    def rows(self) -> list[str]:
        """The words of the decisions that are in sight."""
        return list(
            self.run(
                "return [...document.querySelectorAll('#canvas .decision')].map(e => e.textContent)"
            )
        )

    def text(self, id: str) -> str:
        return str(self.run("return document.getElementById(arguments[0]).textContent", id))

    def until(self, look: Callable[[], Any], what: str) -> Any:
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self._driver, LIMIT_S, 0.1).until(
            lambda _: look(), f"not seen: {what}"
        )

    def settle(self) -> None:
        """Wait until all keys have been acted on."""
        assert self.run("return queue.then(() => true)")

    @property
    def problems(self) -> list[Any]:
        return list(self._driver.get_log("browser"))


@contextmanager
def listening(run: Run) -> Iterator[Listener]:
    """The command `browse` on a run, and somebody at its page."""
    log = run.folder / "browse.log"
    words = [str(COMMAND), "browse", run.config.name]
    with running(words, environment(), log, run.folder), chromium() as driver:
        url = wait_for(
            lambda: [one for one in log.read_text().split() if "http://" in one], 120, "a URL"
        )
        yield Listener(driver, url[0])


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

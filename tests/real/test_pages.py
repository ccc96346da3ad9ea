"""Report and listening room of a run on real speech: they work, and are what the docs show."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.browse.listener import listening
from tests.flows.browser import chromium, picture_folder, unplug, why_not
from tests.flows.running import Run
from tests.real.results import Results

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def run(finished: Callable[[str], Results]) -> Run:
    path = finished("tiny.en").path
    return Run(folder=path.parent, config=path)


def test_the_report_opens_from_disk(run: Run, tmp_path: Path) -> None:
    pictures = picture_folder(tmp_path)
    show = "document.getElementById(arguments[0]).scrollIntoView()"
    with chromium() as driver:
        unplug(driver)
        driver.get(run.json("report")["url"])
        for section, name in (("hours", "report"), ("thresholds", "thresholds")):
            driver.execute_script(show, section)
            assert driver.save_screenshot(str(pictures / f"{name}.png"))
        assert driver.get_log("browser") == []


def test_the_worst_utterance_is_shown_and_played(run: Run, tmp_path: Path) -> None:
    with listening(run) as page:
        page.click("[data-preset='sort=wer']")
        page.settle()
        page.press("n")
        page.settle()
        page.press(" ")
        page.until(lambda: page.run("return audio.currentTime") > 0, "sound")
        page.photograph(picture_folder(tmp_path) / "listening.png")
        assert page.problems == []

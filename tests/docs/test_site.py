"""The site is built without a warning, and reads from a disk without a request."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.browser import LIMIT_S, chromium, unplug, why_not

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
REQUESTED = re.compile(r"(?:src=|url\(|@import |<link [^>]*href=)[\"' (]*(?:https?:)?//")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    makefile = (REPOSITORY / "Makefile").read_text()
    command = re.search(r"^docs:.*\n\t\$\(BIN\)/python (.+)$", makefile, re.MULTILINE)
    assert command is not None
    words = [str(folder) if word == "build/docs" else word for word in command[1].split()]
    done = subprocess.run([sys.executable, *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_every_page_is_built(site: Path) -> None:
    pages = [path.relative_to(REPOSITORY / "docs") for path in (REPOSITORY / "docs").rglob("*.md")]
    assert pages
    assert [page for page in pages if not (site / page.with_suffix(".html")).exists()] == []


def test_nothing_is_requested_from_elsewhere(site: Path) -> None:
    files = [path for suffix in ("html", "css") for path in site.rglob(f"*.{suffix}")]
    assert [path.name for path in files if REQUESTED.search(path.read_text())] == []


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_word_is_found_in_a_browser_without_a_network(site: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    with chromium() as driver:
        unplug(driver)
        driver.get(f"file://{site}/search.html?q=max_wer_percent")
        WebDriverWait(driver, LIMIT_S).until(
            lambda one: "Configuration" in one.find_element("id", "search-results").text
        )
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []

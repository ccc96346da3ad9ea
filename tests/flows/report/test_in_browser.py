"""The page in a real browser without a network: no error, no request, and everything works."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.flows.browser import chromium, unplug, why_not
from tests.flows.running import Run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

LIMIT_S = 60.0


@contextmanager
def offline() -> Iterator[Any]:
    """A browser without a network, which notes what pages log and ask for."""
    sound = "autoplay-policy=no-user-gesture-required"
    with chromium(sound, logs=("browser", "performance")) as driver:
        unplug(driver)
        yield driver


def asked_for(driver: Any) -> list[str]:
    """What was asked for other than the page itself and what is inside it.

    The browser's own first tab has addresses of its own, which no page can reach.
    """
    messages = [json.loads(one["message"])["message"] for one in driver.get_log("performance")]
    urls = [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("data:", "file:", "chrome:"))]


def until(driver: Any, script: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(driver, LIMIT_S, 0.1).until(lambda one: one.execute_script(script), script)


def move_to(driver: Any, index: int) -> None:
    driver.execute_script(
        "const one = document.getElementById('threshold'); one.value = arguments[0];"
        " one.dispatchEvent(new Event('input'));",
        index,
    )


def check_slider(driver: Any, run: Run) -> None:
    sweep = json.loads(driver.execute_script("return document.getElementById('sweep').textContent"))
    table = "return [...document.querySelectorAll('#kept tbody tr')].map(row =>"
    table += " [...row.children].map(cell => cell.textContent))"
    marks = set()
    lines = {(line["corpus"], line["max_wer_percent"]): line for line in run.json("sweep")["lines"]}
    for percent in (5.0, 10.0, 20.0, 100.0):
        index = sweep["percents"].index(percent)
        move_to(driver, index)
        rows = driver.execute_script(table)
        assert rows == sweep["rows"][index]
        for row in rows:
            line = lines[row[0], percent]
            assert row[2] == f"{line['kept_windows']:,}"
            assert row[4] == f"{line['kept_hours']:,.2f}"
            assert row[6] == f"{line['kept_percent']:.1f}"
            assert row[7] == f"{line['paper_kept_percent']:.1f}"
        limit = "return document.querySelector('.sweep .limit').getAttribute('d')"
        marks.add(driver.execute_script(limit))
        assert driver.find_element("id", "threshold-value").text == f"{percent:g} %"
    assert len(marks) == 4


def serious(driver: Any) -> list[str]:
    """The issues that axe calls serious or critical."""
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core-python is not installed")
    found = axe.Axe().run(driver)["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works_from_disk(finished: Run, scheme: str) -> None:
    url = finished.json("report")["url"]
    with offline() as driver:
        chosen = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", chosen)
        driver.get(url)
        check_slider(driver, finished)
        first = "document.querySelector('audio')"
        driver.execute_script(f"{first}.play()")
        until(driver, f"return {first}.currentTime > 0")
        assert asked_for(driver) == []
        assert driver.get_log("browser") == []
        assert serious(driver) == []
        wide = "return document.documentElement.scrollWidth <= window.innerWidth"
        narrow = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
        assert driver.execute_script(wide)

"""Somebody at the page of a listening room."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flows.browser import LIMIT_S, chromium
from tests.flows.running import COMMAND, Run
from tests.processes import environment, running, wait_for


class Listener:
    """Somebody at the page."""

    def __init__(self, driver: Any, url: str) -> None:
        self._driver = driver
        self._url = url
        self.restart()

    def restart(self) -> None:
        """Load the page without filters."""
        self._driver.get("about:blank")
        self._driver.get(self._url)
        self.until(self.rows, "rows")

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

    def photograph(self, path: Path) -> None:
        """Save a screenshot."""
        self._driver.save_screenshot(str(path))

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

"""A headless Chromium, and Prefect's UI in it."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.prefect_server import USER, Server

LIMIT_S = 90.0
_FLAGS = (
    "headless",
    "no-sandbox",
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "window-size=1440,820",
)


def why_not() -> str:
    """Why no browser can be used; empty if one can."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: chromium and chromium-driver)"
    return ""


@contextmanager
def chromium(*flags: str, logs: Sequence[str] = ("browser",)) -> Iterator[Any]:
    """A driver of a browser with a new profile.

    It keeps what is logged: `browser` by the console, `performance` also about requests.
    """
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    with tempfile.TemporaryDirectory(prefix="distillery-chromium-") as profile:
        for flag in (*_FLAGS, *flags, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        service = webdriver.ChromeService(str(shutil.which("chromedriver")))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


def unplug(driver: Any) -> None:
    """Take the network away from a browser."""
    driver.execute_cdp_cmd("Network.enable", {})
    nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", nothing)


def picture_folder(otherwise: Path) -> Path:
    """Where screenshots are saved: the folder DISTILLERY_PICTURES, or else another one."""
    return Path(os.environ.get("DISTILLERY_PICTURES") or otherwise)


class Browser:
    """A logged-in browser."""

    def __init__(self, driver: Any, server: Server) -> None:
        self._driver = driver
        self._url = server.url
        self._open("/")
        self._until(lambda driver: self._is_logged_in(driver, server.password), "Dashboard")

    def open(self, path: str, *texts: str) -> None:
        """Open a page and wait until it shows the texts."""
        self._open(f"/v2/{path}")
        for text in texts:
            self.wait_for_text(text)

    def wait_for_text(self, text: str) -> None:
        self._until(lambda driver: text in driver.find_element("tag name", "body").text, text)

    def choose(self, parameter: str, value: str) -> None:
        """Select a value for a parameter."""
        self._wait_for(f'button[aria-label="Select {parameter}"]').click()
        self._wait_for_xpath(f'//*[@role="option"][normalize-space()="{value}"]').click()

    def fill_in(self, parameter: str, value: str) -> None:
        """Type into the field of a parameter."""
        label = self._wait_for_xpath(f'//label[normalize-space()="{parameter}"]')
        self._wait_for(f'[id="{label.get_attribute("for")}"]').send_keys(value)

    def click(self, words: str) -> None:
        """Click a button or a menu item."""
        self._wait_for_xpath(
            f'//*[self::button or @role="menuitem"][normalize-space()="{words}"]'
        ).click()

    def open_menu(self) -> None:
        """Open the menu of the page."""
        self._wait_for('button[aria-haspopup="menu"]').click()

    def confirm(self, words: str) -> None:
        """Click a button of the open dialog."""
        dialog = '//*[@role="dialog" or @role="alertdialog"]'
        self._wait_for_xpath(f'{dialog}//button[normalize-space()="{words}"]').click()

    def photograph(self, path: Path, pause_s: float = 1.0) -> bytes:
        """Save a screenshot after a pause, because no text shows when a graph is drawn."""
        time.sleep(pause_s)
        self._driver.save_screenshot(str(path))
        return path.read_bytes()

    @property
    def source(self) -> str:
        """The current HTML of the page."""
        return str(self._driver.page_source)

    def _is_logged_in(self, driver: Any, password: str) -> bool:
        """Whether the browser is logged in; if not, submit the password."""
        if "Dashboard" in driver.find_element("tag name", "body").text:
            return True
        box = driver.find_element("css selector", "input")
        if not box.get_attribute("value"):  # empty again if it was submitted too early
            box.send_keys(f"{USER}:{password}")
            box.submit()
        return False

    def _open(self, path: str) -> None:
        self._driver.get(self._url + path)

    def _wait_for(self, selector: str) -> Any:
        return self._until(lambda driver: driver.find_element("css selector", selector), selector)

    def _wait_for_xpath(self, path: str) -> Any:
        return self._until(lambda driver: driver.find_element("xpath", path), path)

    def _until(self, look: Any, what: str) -> Any:
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.support.wait import WebDriverWait

        ignored = (WebDriverException,)
        waiting = WebDriverWait(self._driver, LIMIT_S, 0.5, ignored_exceptions=ignored)
        return waiting.until(look, f"not seen: {what}")


@contextmanager
def browser(server: Server) -> Iterator[Browser]:
    """Run a browser that is logged in to a server."""
    with chromium() as driver:
        yield Browser(driver, server)

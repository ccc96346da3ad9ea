"""The page of `distillery compare`, driven in a headless Chromium."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Label
from flows.compare.assets import find_assets
from flows.compare.models import WebModel
from flows.compare.recordings import Recording
from flows.compare.site import comparison_site
from flows.pages.server import new_token
from storage.errors import UserError
from tests.flows.browser import chromium, why_not
from tests.flows.pages.serving import serving

LIMIT_S = 240.0
MICROPHONE = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
ONNX_PYTHON = os.environ.get("DISTILLERY_ONNX_PYTHON")
"""An interpreter with Optimum, which needs an older transformers than this project."""


def require_browser() -> None:
    """Skip the test where there is none."""
    if missing := why_not():
        pytest.skip(missing)


def require_everything() -> tuple[Mapping[str, Path], str]:
    """The page's library and the interpreter that converts models; skips where one is missing."""
    require_browser()
    if ONNX_PYTHON is None:
        pytest.skip("needs DISTILLERY_ONNX_PYTHON, an interpreter with optimum-onnx[onnxruntime]")
    try:
        return find_assets(), ONNX_PYTHON
    except UserError as error:
        pytest.skip(str(error))


class Page:
    """An open page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return [one.text for one in self.driver.find_elements("css selector", selector)]

    def until(self, look: Callable[[], Any], what: str) -> None:
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, LIMIT_S, 0.2).until(lambda _: look(), f"not seen: {what}")

    def until_ready(self) -> None:
        """Wait until it can transcribe, or says why not."""
        self.until(lambda: self.find("#transcribe").is_enabled() or self.problem, "ready")
        assert self.problem == ""

    def transcribe(self) -> list[str]:
        """The text of each model for the chosen recording."""
        self.find("#transcribe").click()
        self.until_ready()
        return self.texts(".transcript")

    def choose(self, number: int) -> None:
        """Choose a recording of the list."""
        self.find(f"#recording option[value='{number}']").click()
        self.until_ready()

    @property
    def problem(self) -> str:
        return str(self.find("#problem").text)

    @property
    def facts(self) -> dict[str, str]:
        """How it runs."""
        return dict(zip(self.texts("#facts dt"), self.texts("#facts dd"), strict=True))

    @property
    def results(self) -> list[list[str]]:
        """The rows of the table, the sums last."""
        rows = self.driver.find_elements("css selector", "#results :is(tbody, tfoot) tr")
        return [[cell.text for cell in row.find_elements("css selector", "td")] for row in rows]

    def imported(self, module: str, expression: str, *values: Any) -> Any:
        """What an expression of a module's `exports` and `values` gives."""
        script = (
            "const done = arguments[arguments.length - 1], values = [...arguments].slice(0, -1);"
            f"import('./{module}').then((exports) => {expression})"
            ".then(done, (error) => done(`failed: ${error}`))"
        )
        return self.driver.execute_async_script(script, *values)

    def complaints(self) -> list[str]:
        """Errors on the browser's console."""
        return [
            one["message"] for one in self.driver.get_log("browser") if one["level"] == "SEVERE"
        ]


@contextmanager
def opened(
    models: Sequence[WebModel],
    recordings: Sequence[Recording],
    assets: Mapping[str, Path],
    label: Label,
) -> Iterator[Page]:
    """Serve the page and open it in a browser with a new profile."""
    token = new_token()
    title = "tiny 1: side by side"
    # threads that wait for each other take many times as long where others use the cores
    app = comparison_site(title, models, recordings, assets, label, token, max_threads=1)
    with serving(app, token) as url, chromium(*MICROPHONE) as driver:
        driver.set_script_timeout(LIMIT_S)
        driver.get(url)
        yield Page(driver)

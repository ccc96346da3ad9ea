"""What the experiments share: their reports, one Prefect server, and one finished run."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.report import Report
from tests.faults.trial import Finished, finish
from tests.faults.warm import WarmRuns, warm_runs
from tests.prefect_server import SHARED

_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session", autouse=True)
def _shared_server() -> Iterator[None]:
    """Stop the shared Prefect server when the session ends."""
    yield
    SHARED.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    if call.when == "call":
        item.stash[_FAILED] = outcome.failed
    return outcome


@pytest.fixture(autouse=True)
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """What this experiment found; written at its end if it is one of the long ones."""
    text = (request.function.__doc__ or request.node.name).strip().splitlines()[0]
    made = Report(request.node.name, text.rstrip("."))
    begun_s = time.monotonic()
    yield made
    made.seconds = time.monotonic() - begun_s
    made.passed = not request.node.stash.get(_FAILED, True)
    if not made.passed and made.seed is not None:
        sys.stdout.write(f"the seed of {made.name}: {made.seed}\n")
    if request.node.get_closest_marker("faults"):
        made.write()


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmRuns]:
    """Starts commands in processes that have everything imported already."""
    with warm_runs(SHARED.started().client_settings) as runs:
        yield runs


@pytest.fixture(scope="session")
def finished(warm: WarmRuns, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """An undisturbed run; experiments only read it."""
    folder: Path = tmp_path_factory.mktemp("undisturbed")
    return finish(warm, folder)

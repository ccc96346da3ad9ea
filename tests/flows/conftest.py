"""A tiny pipeline that ran once, for the tests that only look at it."""

import pytest

from tests.flows.running import Run, tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that came to its end; tests only read it."""
    run = tiny(tmp_path_factory.mktemp("finished"))
    run.run()
    return run

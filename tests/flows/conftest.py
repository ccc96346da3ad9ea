"""What the tests of flows share: one Prefect server, and runs that are finished."""

import pytest

from tests.flows.running import Run, copied, tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that came to its end; tests only read it."""
    run = tiny(tmp_path_factory.mktemp("finished"))
    run.run()
    return run


@pytest.fixture(scope="session")
def stricter(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run with a threshold of 0 % published too, as 2; tests only read it."""
    folder = tmp_path_factory.mktemp("stricter")
    copied(finished, folder)
    run = tiny(folder, filter={"max_wer_percent": 0})
    run.run("--until", "publish")
    return run

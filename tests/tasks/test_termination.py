"""SIGTERM in the middle of work: saved first, then the signal has its usual effect."""

import os
import signal
from collections.abc import Iterator
from threading import Thread
from types import FrameType

import pytest

from tasks.termination import SavedFirst, is_saving_first


class StoppedError(Exception):
    """What the handler outside raises."""


def stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError


@pytest.fixture(autouse=True)
def _stopped_by_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_done_is_saved_at_once() -> None:
    steps: list[str] = []

    def work() -> None:
        with SavedFirst(lambda: steps.append("saved")):
            assert is_saving_first()
            terminate()
            steps.append("went on")

    with pytest.raises(StoppedError):
        work()
    assert steps == ["saved"]
    assert not is_saving_first()


def test_undivided_work_ends_before_it_is_saved() -> None:
    steps: list[str] = []

    def work() -> None:
        with SavedFirst(lambda: steps.append("saved")) as saved_first:
            with saved_first.undivided():
                terminate()
                steps.append("done")
            steps.append("went on")

    with pytest.raises(StoppedError):
        work()
    assert steps == ["done", "saved"]


def test_outside_the_signal_has_its_usual_effect() -> None:
    with SavedFirst(lambda: pytest.fail("nothing is to be saved")):
        pass
    assert signal.getsignal(signal.SIGTERM) is stop
    with pytest.raises(StoppedError):
        terminate()


def test_other_threads_get_no_signals() -> None:
    seen: list[bool] = []

    def work() -> None:
        with SavedFirst(lambda: None) as saved_first, saved_first.undivided():
            seen.append(is_saving_first())

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert signal.getsignal(signal.SIGTERM) is stop

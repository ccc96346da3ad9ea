"""SIGTERM in the middle of work: saved first, then the signal has its usual effect."""

import os
import signal
from collections.abc import Iterator
from threading import Thread
from types import FrameType

import pytest

from tasks.termination import SavedFirst, has_saved, is_saving_first


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
    assert has_saved()


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


def test_a_save_that_fails_is_known_and_the_signal_has_its_effect() -> None:
    def work() -> None:
        with SavedFirst(lambda: 1 // 0):
            assert has_saved() is None
            terminate()

    with pytest.raises(StoppedError):
        work()
    assert has_saved() is False


def test_undivided_work_that_fails_is_not_saved_and_the_signal_has_its_effect() -> None:
    def work() -> None:
        saved_first = SavedFirst(lambda: pytest.fail("half of the work"))
        with saved_first, saved_first.undivided():
            terminate()
            raise ValueError

    with pytest.raises(StoppedError):
        work()
    assert has_saved() is None
    assert signal.getsignal(signal.SIGTERM) is stop


def test_the_signal_is_not_sent_again_to_who_watches_for_signals() -> None:
    received, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    before = signal.set_wakeup_fd(wakeup)
    try:
        with pytest.raises(StoppedError), SavedFirst(lambda: None):
            terminate()
    finally:
        signal.set_wakeup_fd(before)
    assert os.read(received, 9) == bytes([signal.SIGTERM])
    os.close(received)
    os.close(wakeup)


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

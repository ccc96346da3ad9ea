"""Who sees how far a run is: the command line draws bars, a worker has nobody who watches."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from flows.state.frontier import Unit
from tasks.distil.progress.rows import TrainingRow
from tasks.stages import SHARD_STAGES

_NOUNS = {"download": "files", "plan": "splits"}


class Bar(Protocol):
    """A piece of work that takes long enough to be watched."""

    def advance(self, num_done: int = 1) -> None:
        """Count so many more as done."""

    def advance_to(self, num_done: int) -> None:
        """Set how many are done."""

    def extend(self, num_more: int) -> None:
        """Add to the total."""

    def say(self, text: str) -> None:
        """Show a short remark behind the bar."""


class StepBar(Protocol):
    """The part of a bar that shows work whose extent is known from the start."""

    def advance_to(self, num_done: int) -> None:
        """Set how many are done."""

    def say(self, text: str) -> None:
        """Show a short remark behind the bar."""


class Progress(Protocol):
    """Something that shows bars."""

    def bar(self, title: str, total: int, unit: str) -> Bar:
        """Show a new bar, at zero of `total`."""


class _Unseen:
    def advance(self, num_done: int = 1) -> None:
        return

    def advance_to(self, num_done: int) -> None:
        return

    def extend(self, num_more: int) -> None:
        return

    def say(self, text: str) -> None:
        return

    def bar(self, title: str, total: int, unit: str) -> Bar:
        return self


_CURRENT: ContextVar[Progress] = ContextVar("progress")
_UNSEEN = _Unseen()


def progress() -> Progress:
    """The one that watches this run."""
    return _CURRENT.get(_UNSEEN)


@contextmanager
def watched_by(watcher: Progress) -> Iterator[None]:
    """Show the progress of what runs inside to `watcher`."""
    token = _CURRENT.set(watcher)
    try:
        yield
    finally:
        _CURRENT.reset(token)


class TrainingBars:
    """Shows the steps of a training, with its loss, on several bars."""

    def __init__(self, *bars: StepBar) -> None:
        self._bars = bars

    def __call__(self, row: TrainingRow) -> None:
        """Show an update that is done."""
        terms = f"CE {row.ce:.3f}, KL {row.kl:.3f}" + (f", MSE {row.mse:.3f}" if row.mse else "")
        for bar in self._bars:
            bar.say(f"loss {row.loss:.3f} = {terms}; lr {row.learning_rate:.1e}")
            bar.advance_to(row.step)


def noun(stage: str) -> str:
    """What the units of a stage are called."""
    return _NOUNS.get(stage, "shards")


class StageBars:
    """One bar a stage for all corpora together, whose total grows as work becomes ready."""

    def __init__(self) -> None:
        self._bars: dict[str, Bar] = {}

    def add(self, units: Iterable[Unit]) -> None:
        """Count units that have become ready."""
        for unit in units:
            self._bar(unit.stage).extend(1)

    def end(self, unit: Unit, *, is_done: bool) -> None:
        """Count a unit that has ended."""
        if is_done:
            self._bar(unit.stage).advance()
        if unit.stage in SHARD_STAGES:
            self._bar(unit.stage).say(str(unit.key))

    def say(self, stage: str, text: str) -> None:
        """Show a short remark behind the bar of a stage."""
        self._bar(stage).say(text)

    def _bar(self, stage: str) -> Bar:
        if stage not in self._bars:
            self._bars[stage] = progress().bar(stage, 0, noun(stage))
        return self._bars[stage]

"""A lane: the units of one stage and corpus, submitted as tasks of flow runs of bounded size."""

import contextvars
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any, Final, Protocol

import httpx
from prefect import Task
from prefect.exceptions import PrefectException
from prefect.futures import PrefectFuture
from prefect.logging import get_logger

from flows.state.frontier import Unit
from flows.state.repair import again_command
from storage.errors import DistilleryError
from storage.receipt import Receipt
from storage.receipts import summarise_all
from storage.store import Store
from tasks.run import ShardFailed

NUM_SHOWN: Final = 5
"""Failures that a message names; the tables and `distillery status` have all of them."""


class ShardsFailed(DistilleryError):
    """Some shards of a stage have no receipt; the others are done.

    With `config`, the path of the configuration, the message has the command for each.
    """

    def __init__(self, failures: Sequence[ShardFailed], config: str | None = None) -> None:
        more = len(failures) - NUM_SHOWN
        shown = [
            str(one) if config is None else f"{one}; again: {again_command(config, one)}"
            for one in failures[:NUM_SHOWN]
        ]
        shown += [f"and {more} more"] if more > 0 else []
        super().__init__("; ".join(shown))
        self.failures = tuple(failures)


EXPECTED: Final = (DistilleryError, PrefectException, httpx.HTTPError, OSError, RuntimeError)
"""Errors with which a flow run may end, besides those of its shards."""


@dataclass(frozen=True)
class Ended:
    """A unit that has ended: with a receipt, or with the reason why it has none."""

    unit: Unit
    result: Receipt | ShardFailed


class Lane(Protocol):
    """Where the units of one stage and corpus are made."""

    def put(self, unit: Unit) -> None:
        """Make a unit; its end is reported by the callback that the lane was opened with."""

    def close(self) -> None:
        """Finish once everything that was put in has ended; returns at once."""

    def join(self) -> None:
        """Wait until the lane has finished."""


class TaskLane:
    """Submits units as Prefect tasks, at most `max_tasks` in each flow run.

    `open_run` calls its argument inside a flow run. `submit` gives the task of a unit and its
    arguments. After each flow run the receipts are summarised.
    """

    def __init__(
        self,
        store: Store,
        open_run: Callable[[Callable[[], None]], None],
        submit: Callable[[Unit], tuple[Task[..., Receipt], Mapping[str, Any]]],
        on_end: Callable[[Ended], None],
        max_tasks: int,
    ) -> None:
        self._store, self._open_run, self._submit = store, open_run, submit
        self._on_end, self._max_tasks = on_end, max_tasks
        self._queue: SimpleQueue[Unit | None] = SimpleQueue()
        self._folders: set[str] = set()
        context = contextvars.copy_context()
        self._thread = Thread(target=partial(context.run, self._work), daemon=True)
        self._thread.start()

    def put(self, unit: Unit) -> None:
        """Make a unit."""
        self._queue.put(unit)

    def close(self) -> None:
        """Finish once everything that was put in has ended."""
        self._queue.put(None)
        self._queue.put(None)  # the first may end a flow run, this one ends the lane

    def join(self) -> None:
        """Wait until the lane has finished."""
        self._thread.join()

    def _work(self) -> None:
        is_complete = False
        try:
            self._make_runs()
            is_complete = True
        finally:  # an error that nothing expects must not leave anybody waiting
            while not is_complete and (unit := self._queue.get()) is not None:
                reason = f"the flow run of {unit.stage} {unit.corpus} ended unexpectedly"
                self._on_end(Ended(unit, ShardFailed(unit.stage, unit.key, reason)))

    def _make_runs(self) -> None:
        num_runs = 0
        is_open = True
        while is_open and (unit := self._queue.get()) is not None:
            run = _Run(unit, self._queue, self._submit, self._on_end, self._max_tasks)
            try:
                self._open_run(run)
            except ShardsFailed:
                pass  # each of them has been reported by itself
            except EXPECTED as error:
                run.abandon(f"{type(error).__name__}: {error}")
            finally:
                run.abandon("its flow run ended unexpectedly")
            is_open = not run.is_last
            self._folders |= run.folders
            num_runs += 1
            if num_runs.bit_count() == 1 or not is_open:  # what it costs grows with what is done
                self._summarise()

    def _summarise(self) -> None:
        """Spare later readers requests; without a summary they read each receipt."""
        try:
            summarise_all(self._store, self._folders)
        except DistilleryError as error:
            get_logger(__name__).warning("receipts are not summarised: %s", error)


class _Run:
    """What happens inside one flow run of a lane."""

    def __init__(
        self,
        first: Unit,
        queue: "SimpleQueue[Unit | None]",
        submit: Callable[[Unit], tuple[Task[..., Receipt], Mapping[str, Any]]],
        on_end: Callable[[Ended], None],
        max_tasks: int,
    ) -> None:
        self._first, self._queue, self._submit = first, queue, submit
        self._on_end, self._max_tasks = on_end, max_tasks
        self._pending: dict[int, Unit] = {id(first): first}
        self._failures: list[ShardFailed] = []
        self._change = Condition()
        self.folders: set[str] = set()
        self.is_last = False

    def __call__(self) -> None:
        num_tasks = 0
        unit: Unit | None = self._first
        while unit is not None:
            with self._change:
                self._pending[id(unit)] = unit
            self.folders.add(unit.place.folder)
            task, arguments = self._submit(unit)
            task.submit(**arguments).add_done_callback(partial(self._ended, unit))
            num_tasks += 1
            if num_tasks == self._max_tasks:
                break
            unit = self._queue.get()
            self.is_last = unit is None
        with self._change:
            while self._pending:
                self._change.wait()
        if self._failures:
            raise ShardsFailed(self._failures)

    def abandon(self, reason: str) -> None:
        """Report everything that has not ended as failed."""
        for unit in list(self._pending.values()):
            self._report(unit, ShardFailed(unit.stage, unit.key, reason))

    def _ended(self, unit: Unit, future: PrefectFuture[Receipt]) -> None:
        result: Any = future.result(raise_on_failure=False)
        if isinstance(result, BaseException) and not isinstance(result, ShardFailed):
            reason = f"{type(result).__name__}: {result}"
            result = ShardFailed(unit.stage, unit.key, reason)
        self._report(unit, result)

    def _report(self, unit: Unit, result: Receipt | ShardFailed) -> None:
        with self._change:
            if self._pending.pop(id(unit), None) is None:
                return
            if isinstance(result, ShardFailed):
                self._failures.append(result)
            self._change.notify_all()
        self._on_end(Ended(unit, result))

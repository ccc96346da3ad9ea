"""Ordered prefetching with threads."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import Full, Queue
from threading import Event
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_S: Final = 0.1


def read_ahead(
    items: Iterator[Item], work: Callable[[Item], Result], *, num_threads: int, num_ahead: int
) -> Generator[Result, None, None]:
    """Yield `work(item)` for each item in order, prefetching up to `num_ahead` results.

    One thread iterates over `items` and `num_threads` run `work`, which pays if it releases the
    interpreter lock, as codecs do. Exceptions of `items` and `work` are raised here, in order.
    Nothing starts before the first result is requested; close the generator to stop the threads.
    """
    stopped = Event()
    futures: Queue[Future[Result] | None] = Queue(maxsize=num_ahead)

    def put(future: Future[Result] | None) -> None:
        while not stopped.is_set():
            try:
                futures.put(future, timeout=_POLL_S)
            except Full:
                continue
            break

    def draw(pool: ThreadPoolExecutor) -> None:
        try:
            for item in items:
                if stopped.is_set():
                    break
                put(pool.submit(work, item))
        finally:
            if isinstance(items, Generator):
                items.close()  # in the thread that runs it, which releases its files
            put(None)

    with ThreadPoolExecutor(1, "draw") as drawer, ThreadPoolExecutor(num_threads, "work") as pool:
        drawing = drawer.submit(draw, pool)
        try:
            while (future := futures.get()) is not None:
                yield future.result()
            drawing.result()  # raises the exception that ended the iteration, if any
        finally:
            stopped.set()
            wait([drawing])
            pool.shutdown(cancel_futures=True)

"""Work done ahead of who needs it, in threads, in order."""

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
    """`work` of each item, in the order of the items, computed before it is asked for.

    One thread draws the items and `num_threads` do the work, so that the codecs and the features,
    which release the interpreter lock, run beside the model; at most `num_ahead` results wait.
    What drawing or working raises is raised here at its place in the order. Nothing starts before
    the first result is asked for; close the generator to stop the threads.
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
                items.close()  # in the thread that runs it, so that its files are let go
            put(None)

    with ThreadPoolExecutor(1, "draw") as drawer, ThreadPoolExecutor(num_threads, "work") as pool:
        drawing = drawer.submit(draw, pool)
        try:
            while (future := futures.get()) is not None:
                yield future.result()
            drawing.result()  # raises what ended the drawing
        finally:
            stopped.set()
            wait([drawing])
            pool.shutdown(cancel_futures=True)

"""Rounds of decoding recorded once and replayed, so that a GPU never waits for Python.

A round of a large model is about a thousand kernels, each of which takes longer to launch than to
run when few windows are decoded. Knows neither what a round does nor for whom.
"""

from collections.abc import Callable, Hashable
from typing import Final

import torch

Step = Callable[[], None]
Record = Callable[[Step], Step]

_PLACES_STEP: Final = 64
_FEWEST_ROWS: Final = 8


def gpu_recorder(device: torch.device) -> Record:
    """Makes CUDA graphs of steps, which are not run by that; call what comes back to run one.

    They share memory for what they compute on the way, for no two of them run at the same time.
    """
    with torch.cuda.device(device):
        pool = torch.cuda.graph_pool_handle()

    def record(step: Step) -> Step:
        graph = torch.cuda.CUDAGraph()
        # other threads may go on with their own work on the device
        how = torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local")
        with torch.cuda.device(device), how:
            step()
        return graph.replay

    return record


class Graphs:
    """Steps by key; without `record` each is run as it is.

    All that a step reads and writes must stay where it is in memory, and all that changes its
    shapes must be in its key. The first run of a key is a plain one, in which libraries set up what
    they cannot while they are recorded.
    """

    def __init__(self, record: Record | None) -> None:
        self._record = record
        self._warm: set[Hashable] = set()
        self._recorded: dict[Hashable, Step] = {}

    @property
    def are_recorded(self) -> bool:
        """Whether shapes should be few."""
        return self._record is not None

    def run(self, key: Hashable, step: Step) -> None:
        """Run `step`, or what was recorded of it under this key."""
        if self._record is None or key not in self._warm:
            step()
            self._warm.add(key)
            return
        if key not in self._recorded:
            self._recorded[key] = self._record(step)
        self._recorded[key]()


def few_shapes(
    num_rows: int, num_places: int, *, num_slots: int, num_positions: int
) -> tuple[int, int]:
    """Rows and places that hold at least as many, and of which there are few.

    Rows are all slots, half of them, a quarter and so on down to a few; places are multiples of 64.

    >>> few_shapes(17, 70, num_slots=64, num_positions=228)
    (32, 128)
    """
    rows = num_slots
    while rows // 2 >= max(num_rows, _FEWEST_ROWS):
        rows //= 2
    return rows, min(-(-num_places // _PLACES_STEP) * _PLACES_STEP, num_positions)

"""CUDA graphs of decoding steps, recorded once and replayed, so that a GPU never waits for Python.

A step of a large model launches about a thousand kernels, and with small batches launching a
kernel takes longer than running it. This module has no notion of what a step does.
"""

from collections.abc import Callable, Hashable
from typing import Final

import torch

Step = Callable[[], None]
Record = Callable[[Step], Step]

_POSITION_BUCKET: Final = 64
_MIN_ROWS: Final = 8


def cuda_recorder(device: torch.device) -> Record:
    """Return a function that captures a step as a CUDA graph; call its result to replay the step.

    Capturing does not run the step. All graphs share one memory pool for intermediate results
    because no two of them run at the same time.
    """
    with torch.cuda.device(device):
        pool = torch.cuda.graph_pool_handle()

    def record(step: Step) -> Step:
        graph = torch.cuda.CUDAGraph()
        # thread_local: other threads may use the device during the capture
        capture = torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local")
        with torch.cuda.device(device), capture:
            step()
        return graph.replay

    return record


class GraphCache:
    """Recorded steps by key; without `record` every step runs eagerly.

    Tensors that a step reads or writes must keep their addresses, and the key must contain
    everything that changes a shape. The first run of a key is eager, because libraries initialise
    themselves in ways that cannot be captured.
    """

    def __init__(self, record: Record | None) -> None:
        self._record = record
        self._warm: set[Hashable] = set()
        self._recorded: dict[Hashable, Step] = {}

    @property
    def is_enabled(self) -> bool:
        """Whether steps are recorded; the number of distinct shapes should then be small."""
        return self._record is not None

    def run(self, key: Hashable, step: Step) -> bool:
        """Run `step`, or replay its recording under this key.

        Returns whether it took as long as it will from now on, as it does not while being recorded.
        """
        if self._record is None or key not in self._warm:
            step()
            self._warm.add(key)
            return self._record is None
        is_recorded = key in self._recorded
        if not is_recorded:
            self._recorded[key] = self._record(step)
        self._recorded[key]()
        return is_recorded


def bucket_shape(
    num_rows: int, num_positions: int, *, num_slots: int, max_positions: int
) -> tuple[int, int]:
    """Round a shape up to one of few, so that few graphs are recorded.

    Rows become `num_slots` divided by a power of two, positions a multiple of 64.

    >>> bucket_shape(17, 70, num_slots=64, max_positions=228)
    (32, 128)
    """
    rows = num_slots
    while rows // 2 >= max(num_rows, _MIN_ROWS):
        rows //= 2
    return rows, min(-(-num_positions // _POSITION_BUCKET) * _POSITION_BUCKET, max_positions)

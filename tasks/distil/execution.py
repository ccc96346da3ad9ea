"""How a training runs on its machine, which changes the weights by rounding alone."""

import math
from dataclasses import dataclass

import torch

from tasks.distil.parallel.processes import ALONE, Processes
from tasks.whisper.encoding.cache import OutputCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The device of a training, its checkpoints, caches and processes.

    Checkpoints are written every `checkpoint_every_steps`, by default with every validation, and
    once `checkpoint_every_s` seconds have passed since the last. With an `encoder_cache`, which a
    trained encoder cannot use, audio is encoded once; with a `teacher_cache` the teacher's decoder
    runs once for each label. For `recomputes` and `compiles` see `make_pair`. With several
    `processes`, each trains; the result is that of the first.
    """

    device: torch.device
    micro_batch_size: int
    num_read_threads: int = 1
    checkpoint_every_steps: int | None = None
    checkpoint_every_s: float = math.inf
    encoder_cache: OutputCache | None = None
    teacher_cache: OutputCache | None = None
    recomputes: bool = False
    compiles: bool = False
    processes: Processes = ALONE

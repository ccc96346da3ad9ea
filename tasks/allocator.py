"""The allocator of the C library: freed memory stays with the process.

Training on a CPU allocates the same large tensors in every update. glibc gives what is freed back
to the system, in threads other than the first whatever its thresholds are, and the next update
waits for new pages: with Whisper base a twentieth of its time on an idle machine, and a sixth on a
busy one. So all threads share the arena of the first, which keeps what is freed.
"""

import ctypes
import os
from typing import Final

_PARAMETERS: Final = {
    "MALLOC_ARENA_MAX": (-8, 1),
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**28),  # caches of a decoder are larger, and given back
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**30),
}
"""Variable of glibc to the same parameter of `mallopt`, from malloc.h, and its value."""

ENVIRONMENT: Final = {name: str(value) for name, (_, value) in _PARAMETERS.items()}
"""Variables that glibc reads when a process starts."""


def keep_freed_memory() -> None:
    """Set in this process what `ENVIRONMENT` does not; to be called before it has threads.

    Does nothing where the C library is another.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for name, (parameter, value) in _PARAMETERS.items():
            if name not in os.environ:
                mallopt(parameter, value)

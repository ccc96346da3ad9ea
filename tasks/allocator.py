"""The allocator of the C library: freed memory stays with the process.

Training on a CPU allocates the same large tensors in every update. glibc gives what is freed back
to the system, in threads other than the first whatever its thresholds are, and the next update
waits for new pages: a sixth of its time with Whisper base. So all threads share the arena of the
first, which keeps what is freed.
"""

import ctypes
import os
from typing import Final

ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**28),  # caches of a decoder are larger, and given back
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}
"""Variables that glibc reads when a process starts."""

_NUMBERS: Final = {
    "MALLOC_ARENA_MAX": -8,
    "MALLOC_MMAP_THRESHOLD_": -3,
    "MALLOC_TRIM_THRESHOLD_": -1,
}
"""The same as parameters of `mallopt`, from malloc.h."""


def keep_freed_memory() -> None:
    """Set in this process what `ENVIRONMENT` does not; to be called before it has threads.

    Does nothing where the C library is another.
    """
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for name, value in ENVIRONMENT.items():
            if name not in os.environ:
                mallopt(_NUMBERS[name], int(value))

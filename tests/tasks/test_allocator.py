"""What stays with a process: numbers of new pages, counted by the system."""

import ctypes
import os
import subprocess
import sys

import pytest

from tasks.allocator import ENVIRONMENT

_IN_A_THREAD = """
import resource, sys, threading
from tasks.allocator import keep_freed_memory

if "kept" in sys.argv:
    keep_freed_memory()

def num_new_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

size = int(sys.argv[1])

def allocate():
    b"x" * size
    before = num_new_pages()
    for _ in range(4):
        b"x" * size
    print(num_new_pages() - before)

thread = threading.Thread(target=allocate)
thread.start()
thread.join()
"""
_SIZE = 2**27

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc"
)


@pytest.fixture(scope="module")
def by_default() -> int:
    """Four times the pages of an object, which is given back as it is freed."""
    return _num_new_pages()


def _num_new_pages(*arguments: str, **variables: str) -> int:
    own = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_THREAD, str(_SIZE), *arguments],
        env={**own, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def test_a_thread_keeps_large_objects(by_default: int) -> None:
    assert _num_new_pages("kept") < by_default / 10


def test_a_process_keeps_large_objects_by_its_environment(by_default: int) -> None:
    assert _num_new_pages(**ENVIRONMENT) < by_default / 10


def test_a_threshold_of_the_user_counts(by_default: int) -> None:
    assert _num_new_pages("kept", MALLOC_MMAP_THRESHOLD_=str(2**20)) > by_default / 2

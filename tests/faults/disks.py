"""A small disk of its own: a file system in memory, which root may mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_MOUNT = ("/usr/bin/env", "mount")


@dataclass(frozen=True)
class Disk:
    """A mounted file system."""

    folder: Path

    def resize(self, size_kb: int) -> None:
        _mount("-o", f"remount,size={size_kb}k", str(self.folder))

    def read_only(self, *, on: bool) -> bool:
        """Whether it could be remounted; not while a file is open for writing."""
        words = ("-o", "remount,ro" if on else "remount,rw", str(self.folder))
        return subprocess.run([*_MOUNT, *words], capture_output=True).returncode == 0


@contextmanager
def disk(folder: Path, size_kb: int) -> Iterator[Disk]:
    """Mount a disk of that size; the test is skipped where that is not allowed."""
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_kb}k,mode=700", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a file system (root)")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["/usr/bin/env", "umount", "--lazy", str(folder)], check=True)


def _mount(*words: str) -> None:
    if os.geteuid() != 0:
        raise PermissionError("only root mounts")
    subprocess.run([*_MOUNT, *words], check=True, capture_output=True)

"""Local files that are hashed while they are written."""

import hashlib
import os
from pathlib import Path


class HashingSink:
    """A writable binary file that computes its SHA-256; `close` forces the bytes to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._file = path.open("wb")
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest of everything written so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._file.closed

    def write(self, data: bytes) -> int:
        """Append `data`."""
        self._hash.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Pass buffered bytes to the operating system."""
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        """Force the bytes to disk before a rename can happen; idempotent."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Delete the file unless it has been renamed."""
        try:
            self._file.close()
        finally:  # closing fails on a full disk, which refuses the buffered bytes
            self.path.unlink(missing_ok=True)


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a local file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

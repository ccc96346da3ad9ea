"""A local file that is hashed while it is written."""

import hashlib
import os
from pathlib import Path


class HashingSink:
    """A writable binary file; after `close` its bytes are on disk and its digest is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self._file = path.open("wb")
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest of all that was written so far, in hexadecimal."""
        return self._hash.hexdigest()

    @property
    def closed(self) -> bool:
        """Whether the file takes no more bytes."""
        return self._file.closed

    def write(self, data: bytes) -> int:
        """Append `data`."""
        self._hash.update(data)
        self.size_bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        """Force the bytes to disk, so that a rename cannot overtake them; twice is harmless."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Remove the file if it was not renamed meanwhile."""
        try:
            self._file.close()
        finally:  # a full disk refuses even the rest of a buffer
            self.path.unlink(missing_ok=True)


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a local file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fsync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The interface to all storage: files below a root, in a folder, in memory or in an object store.

Paths are relative to the root and use `/`. Files become visible only when complete, exactly one of
several concurrent `put_if_absent` calls succeeds, and listings are never cached.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fsspec.implementations.local import LocalFileSystem

from storage.backend import cat, create, find, move, open_root, tag, written_at
from storage.errors import IntegrityError, UserError, without_secrets
from storage.faults import translated_errors
from storage.private import private_folder
from storage.receipt import FileRef
from storage.sink import HashingSink, hash_file

_IN_URLS: Final = "/:%@"
_PRIVATE: Final[set[tuple[int, ...]]] = set()
"""Folders that this process has checked, which takes long where there are many files."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a listing; `tag` changes when the file is rewritten."""

    size_bytes: int
    tag: str
    written_at: float  # seconds since 1970


class Store:
    """Files below `root`: a folder or any fsspec URL.

    Methods raise `UserError` if the root cannot be reached or refuses the credentials,
    `TransientError` if the network or the server fails, `FileNotFoundError` for a missing file.
    """

    def __init__(self, root: str, scratch: str | None = None) -> None:
        self.root = without_secrets(root)
        self._fs, self._base = open_root(root)
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self._scratch = scratch

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def url(self, path: str) -> str:
        """The URL of a file: `file:///…` below a local root, without credentials."""
        root = Path(self.root).absolute().as_uri() if self.is_local else quote(self.root, _IN_URLS)
        return f"{root}/{quote(path, _IN_URLS)}"

    def check(self) -> None:
        """Check that the root is writable; raises `UserError` with the reason if it is not."""
        if self.is_local and os.path.isfile(self._base):
            raise UserError(f"the root {self.root} is a file; expected a folder")
        probe = self._full(f".{uuid.uuid4().hex}.part")
        try:
            with self._translated("write to"):
                if self.is_local:
                    os.makedirs(self._base, exist_ok=True)
                self._fs.pipe_file(probe, b"")
                self._fs.rm_file(probe)
        except FileNotFoundError as error:
            raise UserError(f"cannot write to {self.root}: {error}") from error

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of a file, or exactly those from `start` up to but not including `end`.

        Raises `IntegrityError` if the file ends before `end`.
        """
        with self._translated("read from"):
            data = cat(self._fs, self._full(path), start, end)
        if end is not None and len(data) != end - (start or 0):
            raise IntegrityError(f"{path} ends before byte {end}, expected by an index", path)
        return data

    def exists(self, path: str) -> bool:
        """Whether there is a complete file at `path`."""
        with self._translated("look into"):
            try:
                return bool(self._fs.info(self._full(path))["type"] == "file")
            except FileNotFoundError:
                return False

    def list(self, folder: str) -> dict[str, StoredFile]:
        """All complete files below `folder`, by path, sorted; one listing, never cached."""
        with self._translated("list"):
            found = find(self._fs, self._full(folder))
        below = {
            _relative(full, self._base): StoredFile(info["size"], tag(info), written_at(info))
            for full, info in found.items()
        }
        return {path: below[path] for path in sorted(below) if not path.endswith(".part")}

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write `data` unless `path` exists; exactly one of concurrent writers gets True."""
        with self._translated("write to"):
            return create(self._fs, self._full(path), data)

    @contextmanager
    def sink(self, folder: str) -> Iterator[HashingSink]:
        """A temporary file to write to; `keep` gives it its name, otherwise it is deleted."""
        parent = Path(self._full(folder)) if self.is_local else self.scratch_folder()
        with translated_errors("write to", str(parent), is_local=True):
            parent.mkdir(parents=True, exist_ok=True)
            sink = HashingSink(parent / f".{uuid.uuid4().hex}.part")
            try:
                yield sink
            finally:
                sink.discard()

    def keep(self, sink: HashingSink, path: str) -> FileRef:
        """Move what was written to `sink` to `path`, atomically."""
        sink.close()
        with self._translated("write to"):
            move(self._fs, sink.path, self._full(path))
        return FileRef(path=path, sha256=sink.sha256, size_bytes=sink.size_bytes)

    @contextmanager
    def fetch(self, ref: FileRef, *, verify: bool = True) -> Iterator[Path]:
        """A local copy of a stored file, verified; the file itself if the root is local.

        The copy exists until the context ends. Raises `IntegrityError` if the file is missing or
        does not match `ref`.
        """
        if self.is_local:
            path = Path(self._full(ref.path))
            if not path.exists():
                raise _missing(ref)
            _check(ref, path, verify=verify)
            yield path
            return
        local = self.scratch_folder() / f".{uuid.uuid4().hex}.part"
        try:
            try:
                with self._translated("read from"):
                    self._fs.get_file(self._full(ref.path), str(local))
            except FileNotFoundError as error:
                raise _missing(ref) from error
            _check(ref, local, verify=verify)
            yield local
        finally:
            local.unlink(missing_ok=True)

    def local_folder(self, refs: Sequence[FileRef]) -> Path:
        """A local folder with verified copies of `refs`, which are stored in one folder.

        Raises `IntegrityError` if a file is missing or does not match its reference.
        """
        if self.is_local:
            for ref in refs:
                with self.fetch(ref):
                    continue
            return Path(self._full(refs[0].path)).parent
        folder = self.scratch_folder() / sha256_hex("".join(ref.sha256 for ref in refs).encode())
        folder.mkdir(exist_ok=True)
        for ref in refs:
            target = folder / ref.path.rsplit("/", 1)[1]
            if not target.is_file():
                with self.fetch(ref) as copy:
                    os.replace(copy, target)
            _check(ref, target, verify=True)
        return folder

    def delete(self, path: str) -> None:
        """Delete a file; a missing file is no error."""
        with self._translated("delete from"):
            try:
                self._fs.rm_file(self._full(path))
            except FileNotFoundError:
                return

    def unfinished(self) -> dict[str, float]:
        """Temporary files below a local root, of live or dead writers: path to modification time.

        Always empty for an object store, which shows an object only when its upload is complete.
        """
        if not self.is_local:
            return {}
        found: dict[str, float] = {}
        for folder, _, names in os.walk(self._base):  # skips folders that are gone by then
            for name in names:
                if name.startswith(".") and name.endswith(".part"):
                    path = os.path.join(folder, name)
                    with suppress(FileNotFoundError):  # its writer has just finished
                        found[_relative(path, self._base)] = os.stat(path).st_mtime
        return found

    def scratch_folder(self) -> Path:
        """A local folder for partial downloads and copies of remote files; created if missing.

        The one in the system's folder for temporary files, where others could have made it before,
        is private to the user; raises `UserError` if it is not.
        """
        is_shared = self._scratch is None and not self.is_local
        if self._scratch is not None:
            folder = Path(self._scratch).expanduser()
        elif self.is_local:
            folder = Path(self._base) / "scratch"
        else:
            folder = Path(tempfile.gettempdir()) / f"distillery-{os.getuid()}"
        with translated_errors("write to", str(folder), is_local=True):
            if is_shared and _identity(folder) not in _PRIVATE:
                private_folder(folder, otherwise="set runtime.scratch to another folder")
                _PRIVATE.add(_identity(folder))  # nobody else can change it from here on
            elif not is_shared:
                folder.mkdir(parents=True, exist_ok=True)
        return folder

    def free_bytes(self) -> int | None:
        """Free space on the disk of a local root; None for an object store."""
        return shutil.disk_usage(self._base).free if self.is_local else None

    def _full(self, path: str) -> str:
        parts = path.split("/")
        if path.startswith("/") or ".." in parts:
            raise UserError(f"a stored path must stay below the root; found {path!r}")
        return f"{self._base}/{path}" if path else self._base

    def _translated(self, verb: str) -> AbstractContextManager[None]:
        return translated_errors(verb, self.root, is_local=self.is_local)


def _missing(ref: FileRef) -> IntegrityError:
    return IntegrityError(f"{ref.path} is missing although a receipt names it", ref.path)


def _check(ref: FileRef, path: Path, *, verify: bool) -> None:
    size_bytes = path.stat().st_size
    if size_bytes != ref.size_bytes:
        raise IntegrityError(
            f"{ref.path} has {size_bytes} bytes, its receipt says {ref.size_bytes}", ref.path
        )
    if verify and (found := hash_file(path)) != ref.sha256:
        raise IntegrityError(
            f"{ref.path} has sha256 {found}, its receipt says {ref.sha256}", ref.path
        )


def _identity(folder: Path) -> tuple[int, ...]:
    """Which folder that is, and who may change it; empty if there is none."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, found.st_mode, found.st_uid


def _relative(full: str, base: str) -> str:
    return full.removeprefix(base).lstrip("/")


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

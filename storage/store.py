"""One seam for all storage: files under a root that may be a folder, memory or an object store.

Paths are relative to the root and use `/`. A file becomes visible only when it is complete, a claim
by `put_if_absent` has one winner, and no listing is ever served from a cache.
"""

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from storage.backend import cat, create, find, move, open_root, tag, written_at
from storage.errors import IntegrityError, UserError, without_secrets
from storage.faults import explained
from storage.receipt import FileRef
from storage.sink import HashingSink, hash_file


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed file: its size, and a tag that changes when its content is put anew."""

    size_bytes: int
    tag: str
    written_at: float  # seconds since 1970


class Store:
    """Files under `root`, any fsspec URL; relative folders are taken from the working directory.

    Raises `UserError` when the root cannot be reached or refuses the credentials, `TransientError`
    when the network or the server fails, `FileNotFoundError` when a file is not there.
    """

    def __init__(self, root: str, scratch: str | None = None) -> None:
        self.root = without_secrets(root)
        self._fs, self._base = open_root(root)
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self._scratch = scratch

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def check(self) -> None:
        """Prove that the root can be written to; raises `UserError` with the reason otherwise."""
        if self.is_local and os.path.isfile(self._base):
            raise UserError(f"the root {self.root} is a file; expected a folder")
        probe = self._full(f".{uuid.uuid4().hex}.part")
        try:
            with self._explained("write to"):
                if self.is_local:
                    os.makedirs(self._base, exist_ok=True)
                self._fs.pipe_file(probe, b"")
                self._fs.rm_file(probe)
        except FileNotFoundError as error:
            raise UserError(f"cannot write to {self.root}: {error}") from error

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of a file, or exactly those from `start` up to but not including `end`.

        Raises `IntegrityError` when the file ends before `end`.
        """
        with self._explained("read from"):
            data = cat(self._fs, self._full(path), start, end)
        if end is not None and len(data) != end - (start or 0):
            raise IntegrityError(
                f"{path} ends before its byte {end}, which an index says it has;"
                " remove its receipt and make it again"
            )
        return data

    def exists(self, path: str) -> bool:
        """Whether a complete file stands at `path`."""
        with self._explained("look into"):
            try:
                return bool(self._fs.info(self._full(path))["type"] == "file")
            except FileNotFoundError:
                return False

    def list(self, folder: str) -> dict[str, Entry]:
        """Every complete file below `folder`, by path, in order; one listing, never cached."""
        with self._explained("list"):
            found = find(self._fs, self._full(folder))
        below = {
            _relative(full, self._base): Entry(info["size"], tag(info), written_at(info))
            for full, info in found.items()
        }
        return {path: below[path] for path in sorted(below) if not path.endswith(".part")}

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write `data` unless a file stands at `path`; of racing writers one gets True."""
        with self._explained("write to"):
            return create(self._fs, self._full(path), data)

    @contextmanager
    def sink(self, folder: str) -> Iterator[HashingSink]:
        """A file to write whose name is not known yet; `keep` gives it one, else it is removed."""
        parent = Path(self._full(folder)) if self.is_local else self.scratch_folder()
        with explained("write to", str(parent), is_local=True):
            parent.mkdir(parents=True, exist_ok=True)
            sink = HashingSink(parent / f".{uuid.uuid4().hex}.part")
            try:
                yield sink
            finally:
                sink.discard()

    def keep(self, sink: HashingSink, path: str) -> FileRef:
        """Make what was written to `sink` visible at `path`, whole or not at all."""
        sink.close()
        with self._explained("write to"):
            move(self._fs, sink.path, self._full(path))
        return FileRef(path=path, sha256=sink.sha256, size_bytes=sink.size_bytes)

    @contextmanager
    def fetch(self, ref: FileRef, *, verify: bool = True) -> Iterator[Path]:
        """A local copy of a stored file, its digest checked; the file itself where that is local.

        Raises `IntegrityError` when the bytes are not those that `ref` names.
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
                with self._explained("read from"):
                    self._fs.get_file(self._full(ref.path), str(local))
            except FileNotFoundError as error:
                raise _missing(ref) from error
            _check(ref, local, verify=verify)
            yield local
        finally:
            local.unlink(missing_ok=True)

    def local_folder(self, refs: Sequence[FileRef]) -> Path:
        """A local folder with files that are stored in one folder, their digests checked.

        Raises `IntegrityError` when the bytes are not those that the references name.
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
        """Remove a file; that it is not there is no error."""
        with self._explained("delete from"):
            try:
                self._fs.rm_file(self._full(path))
            except FileNotFoundError:
                return

    def unfinished(self) -> dict[str, float]:
        """Partial files of writers, dead or alive, below a local root: path to time of last write.

        An object store shows none: there an object appears only when its upload is complete.
        """
        if not self.is_local:
            return {}
        parts = Path(self._base).rglob(".*.part")
        return {_relative(str(part), self._base): part.stat().st_mtime for part in parts}

    def scratch_folder(self) -> Path:
        """A local folder for partial downloads and for copies of remote files."""
        if self._scratch is not None:
            folder = Path(self._scratch).expanduser()
        elif self.is_local:
            folder = Path(self._base) / "scratch"
        else:
            folder = Path(tempfile.gettempdir()) / f"distillery-{os.getuid()}"
        with explained("write to", str(folder), is_local=True):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def free_bytes(self) -> int | None:
        """Room left on a local disk; None on an object store."""
        return shutil.disk_usage(self._base).free if self.is_local else None

    def _full(self, path: str) -> str:
        parts = path.split("/")
        if path.startswith("/") or ".." in parts:
            raise UserError(f"a stored path must stay below the root; found {path!r}")
        return f"{self._base}/{path}" if path else self._base

    def _explained(self, verb: str) -> AbstractContextManager[None]:
        return explained(verb, self.root, is_local=self.is_local)


def _missing(ref: FileRef) -> IntegrityError:
    return IntegrityError(
        f"{ref.path} is named by a receipt but is not there; rerun the shard that made it"
    )


def _check(ref: FileRef, path: Path, *, verify: bool) -> None:
    size_bytes = path.stat().st_size
    if size_bytes != ref.size_bytes:
        raise IntegrityError(
            f"{ref.path} holds {size_bytes} bytes, its receipt says {ref.size_bytes};"
            " rerun the shard that made it"
        )
    if verify and (found := hash_file(path)) != ref.sha256:
        raise IntegrityError(
            f"{ref.path} has sha256 {found}, its receipt says {ref.sha256};"
            " rerun the shard that made it"
        )


def _relative(full: str, base: str) -> str:
    return full.removeprefix(base).lstrip("/")


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

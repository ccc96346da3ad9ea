"""One seam for all storage: files under a root that may be a folder, memory or an object store.

Paths are relative to the root and use `/`. A file becomes visible only when it is complete, a claim
by `put_if_absent` has one winner, and no listing is ever served from a cache.
"""

import errno
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from storage.errors import IntegrityError, TransientError, UserError
from storage.receipt import FileRef
from storage.sink import HashingSink, fsync_folder, hash_file

_UNCACHED_LISTINGS = {"use_listings_cache": False, "skip_instance_cache": True}


@dataclass(frozen=True, slots=True)
class Entry:
    """A listed file: its size, and a tag that changes when its content is put anew."""

    size_bytes: int
    tag: str


class Store:
    """Files under `root`, any fsspec URL; relative folders are taken from the working directory.

    Raises `UserError` when the root cannot be reached or refuses the credentials, `TransientError`
    when the network or the server fails, `FileNotFoundError` when a file is not there.
    """

    def __init__(self, root: str, scratch: str | None = None) -> None:
        self.root = root
        options = {} if _is_local(root) else _UNCACHED_LISTINGS
        try:
            self._fs, base = fsspec.core.url_to_fs(_expanded(root), **options)
        except (ImportError, ValueError) as error:
            raise UserError(f"the root {root!r} cannot be opened: {error}") from error
        self._base = base.rstrip("/")
        self.is_local = isinstance(self._fs, LocalFileSystem)
        self._scratch = scratch

    def __repr__(self) -> str:
        return f"Store({self.root!r})"

    def check(self) -> None:
        """Prove that the root can be written to; raises `UserError` with the reason otherwise."""
        probe = f".probe-{uuid.uuid4().hex}"
        with self._explained("write to"):
            if self.is_local:
                os.makedirs(self._base, exist_ok=True)
            self._fs.pipe_file(self._full(probe), b"")
            self._fs.rm_file(self._full(probe))

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes of a file, or those from `start` up to but not including `end`."""
        with self._explained("read from"):
            data: bytes = self._fs.cat_file(self._full(path), start=start, end=end)
            return data

    def exists(self, path: str) -> bool:
        """Whether a complete file stands at `path`."""
        with self._explained("look into"):
            return bool(self._fs.exists(self._full(path)))

    def list(self, folder: str) -> dict[str, Entry]:
        """Every complete file below `folder`, by path, in order; one listing, never cached."""
        with self._explained("list"):
            self._fs.invalidate_cache()
            found: dict[str, Any] = self._fs.find(self._full(folder), detail=True)
        below = {
            _relative(full, self._base): Entry(
                info["size"], str(info.get("ETag") or info.get("mtime") or info.get("created"))
            )
            for full, info in found.items()
        }
        return {path: below[path] for path in sorted(below) if not path.endswith(".part")}

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """Write `data` unless a file stands at `path`; of racing writers one gets True."""
        with self._explained("write to"):
            if self.is_local:
                return _link_if_absent(Path(self._full(path)), data)
            return self._create_object(path, data)

    def _create_object(self, path: str, data: bytes) -> bool:
        # Some servers refuse the condition with a generic error, so existence decides what it meant.
        try:
            self._fs.pipe_file(self._full(path), data, mode="create")
        except FileExistsError:
            return False
        except OSError:
            if self._fs.exists(self._full(path)):
                return False
            raise
        return True

    @contextmanager
    def sink(self, folder: str) -> Iterator[HashingSink]:
        """A file to write whose name is not known yet; `keep` gives it one, else it is removed."""
        if self.is_local:
            parent = Path(self._full(folder))
            parent.mkdir(parents=True, exist_ok=True)
        else:
            parent = self.scratch_folder()
        sink = HashingSink(parent / f".{uuid.uuid4().hex}.part")
        try:
            with self._explained("write to"):
                yield sink
        finally:
            sink.discard()

    def keep(self, sink: HashingSink, path: str) -> FileRef:
        """Make what was written to `sink` visible at `path`, whole or not at all."""
        sink.close()
        with self._explained("write to"):
            if self.is_local:
                target = Path(self._full(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(sink.path, target)
                fsync_folder(target.parent)
            else:
                self._fs.put_file(str(sink.path), self._full(path))
        return FileRef(path=path, sha256=sink.sha256, size_bytes=sink.size_bytes)

    @contextmanager
    def fetch(self, ref: FileRef, *, verify: bool = True) -> Iterator[Path]:
        """A local copy of a stored file, its digest checked; the file itself where that is local.

        Raises `IntegrityError` when the bytes are not those that `ref` names.
        """
        if self.is_local:
            path = Path(self._full(ref.path))
            if not path.exists():
                raise IntegrityError(
                    f"{ref.path} is named by a receipt but is not there; rerun the shard that made it"
                )
            _check(ref, path, verify=verify)
            yield path
            return
        local = self.scratch_folder() / f".{uuid.uuid4().hex}.part"
        try:
            with self._explained("read from"):
                self._fs.get_file(self._full(ref.path), str(local))
            _check(ref, local, verify=verify)
            yield local
        finally:
            local.unlink(missing_ok=True)

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

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn the faults of a file system into one clear line; missing files pass through."""
        try:
            yield
        except FileNotFoundError:
            raise
        except PermissionError as error:
            raise UserError(
                f"not allowed to {verb} {self.root}: {error};"
                " check the credentials in the environment and the rights on the root"
            ) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR):
                raise UserError(f"cannot {verb} {self.root}: {error.strerror}") from error
            if self.is_local:
                raise
            raise TransientError(f"cannot {verb} {self.root}: {error}") from error


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


def _link_if_absent(target: Path, data: bytes) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{uuid.uuid4().hex}.part"
    sink = HashingSink(temporary)
    try:
        sink.write(data)
        sink.close()
        os.link(temporary, target)  # fails if the name is taken, unlike a rename
        fsync_folder(target.parent)
    except FileExistsError:
        return False
    finally:
        sink.discard()
    return True


def _is_local(root: str) -> bool:
    return "://" not in root or root.startswith(("file://", "local://"))


def _expanded(root: str) -> str:
    return os.path.abspath(os.path.expanduser(root)) if "://" not in root else root


def _relative(full: str, base: str) -> str:
    return full.removeprefix(base).lstrip("/")


def sha256_hex(data: bytes) -> str:
    """The SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

"""The file system behind a root, and the guarantees that fsspec leaves to each implementation."""

import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from storage.errors import UserError, without_secrets
from storage.faults import s3_code, translated_errors
from storage.sink import HashingSink, fsync_folder

_UNCACHED: Final = {"use_listings_cache": False, "skip_instance_cache": True}

_S3_OPTIONS: Final = {
    "retries": {"mode": "standard", "max_attempts": 2},
    "max_pool_connections": 16,
}
_S3_ATTEMPTS: Final = 2  # of s3fs, each with the attempts above
"""Few, so that a broken server is reported within seconds; longer retries belong to the caller."""

_WRITER: Final = "writer"
"""The name of the metadata of an object in which its writer puts a random mark."""

_CREATING: Final = threading.Lock()
"""The memory file system has no atomic create, so threads of this process take turns."""


def open_root(root: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a root, and the path of the root in it.

    Listings are never cached. Raises `UserError` if the root cannot be opened.
    """
    shown = without_secrets(root)
    try:
        with translated_errors("open", shown, is_local=_is_local(root)):
            if root.startswith("s3://"):
                file_system = _s3(os.getpid(), tuple(_aws_settings()))
                base = str(file_system._strip_protocol(root))
            else:
                options = {} if _is_local(root) else _UNCACHED
                file_system, base = fsspec.core.url_to_fs(_expanded(root), **options)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"the root {shown!r} cannot be opened: {error};"
            " expected a folder or a URL such as s3://bucket/prefix"
        ) from error
    return file_system, base.rstrip("/")


@lru_cache(maxsize=4)
def _s3(process_id: int, aws_settings: tuple[tuple[str, str], ...]) -> AbstractFileSystem:
    """One client per process, which bounds its connections and is set up once."""
    file_system = fsspec.filesystem("s3", **_UNCACHED, config_kwargs=_S3_OPTIONS)
    file_system.retries = _S3_ATTEMPTS
    return file_system


def _aws_settings() -> Iterator[tuple[str, str]]:
    """The environment variables that choose the server and the credentials."""
    yield from sorted(pair for pair in os.environ.items() if pair[0].startswith("AWS_"))


def cat(file_system: AbstractFileSystem, full: str, start: int | None, end: int | None) -> bytes:
    """The bytes of a file from `start` to `end`, fewer if the file is shorter."""
    if end is not None and end == (start or 0):
        return b""  # an object store ignores an empty range and sends the whole file
    try:
        data: bytes = file_system.cat_file(
            full, start=start, end=end, **_single_request(file_system)
        )
    except OSError as error:
        if s3_code(error) == "InvalidRange":  # the file ends before `start`
            return b""
        raise
    return data


def _single_request(file_system: AbstractFileSystem) -> Mapping[str, int]:
    """Options for a single request; by default s3fs asks for the size and reads in chunks."""
    return {"max_concurrency": 1} if "s3" in file_system.protocol else {}


def find(file_system: AbstractFileSystem, full: str) -> Mapping[str, Mapping[str, Any]]:
    """The files below a folder, by path; raises `OSError` if a folder cannot be read."""
    file_system.invalidate_cache()
    options = {"on_error": _raise_unless_gone} if isinstance(file_system, LocalFileSystem) else {}
    found: dict[str, Mapping[str, Any]] = file_system.find(full, detail=True, **options)
    # s3fs returns the folder itself if its first file appears during the listing
    return {path: info for path, info in found.items() if info["type"] != "directory"}


def tag(info: Mapping[str, Any]) -> str:
    """A tag of a listed file that changes when the file is rewritten."""
    if "ino" in info:
        return f"{info['mtime']}-{info['ino']}"
    return str(info.get("ETag") or info.get("created"))


def written_at(info: Mapping[str, Any]) -> float:
    """Modification time of a listed file, in seconds since 1970."""
    time = next(info[name] for name in ("mtime", "LastModified", "created") if name in info)
    return float(time.timestamp() if isinstance(time, datetime) else time)


def move(file_system: AbstractFileSystem, source: Path, full: str) -> None:
    """Move a closed local file to `full`, atomically."""
    if isinstance(file_system, LocalFileSystem):
        target = Path(full)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
        fsync_folder(target.parent)
    elif isinstance(file_system, MemoryFileSystem):
        file_system.pipe_file(full, source.read_bytes())  # `put_file` shows a partial file
    else:
        file_system.put_file(str(source), full)


def create(file_system: AbstractFileSystem, full: str, data: bytes) -> bool:
    """Write a file unless it exists; exactly one of several concurrent writers gets True."""
    if isinstance(file_system, LocalFileSystem):
        return _link_if_absent(Path(full), data)
    if isinstance(file_system, MemoryFileSystem):
        with _CREATING:
            return _create_object(file_system, full, data)
    return _create_object(file_system, full, data)


def _create_object(file_system: AbstractFileSystem, full: str, data: bytes) -> bool:
    # Where the answer to a write is lost, its repetition finds the file: the writer's mark in the
    # metadata tells whether it is ours. Some servers answer a failed condition with a generic
    # error, so look whether the file exists.
    writer = uuid.uuid4().hex
    mark = {"Metadata": {_WRITER: writer}} if "s3" in file_system.protocol else {}
    try:
        file_system.pipe_file(full, data, mode="create", **mark)
    except FileExistsError:
        return bool(mark) and _written_by(file_system, full, writer)
    except OSError:
        if file_system.exists(full):
            return bool(mark) and _written_by(file_system, full, writer)
        raise
    return True


def _written_by(file_system: AbstractFileSystem, full: str, writer: str) -> bool:
    try:
        return bool(file_system.metadata(full).get(_WRITER) == writer)
    except FileNotFoundError:  # deleted since
        return False


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


def _raise_unless_gone(error: OSError) -> None:
    """A missing folder counts as empty; an unreadable one must not."""
    if not isinstance(error, FileNotFoundError):
        raise error

"""Errors of a store whose root is missing, closed, full or unreachable."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from storage.errors import DistilleryError, TransientError, UserError, without_secrets
from storage.faults import translated_errors
from storage.sink import HashingSink
from storage.store import Store

pytestmark = pytest.mark.timeout(60, func_only=True)  # a fault is reported after few retries

NOBODY = 65_534

TOUCHES: dict[str, Callable[[Store], object]] = {
    "check": lambda store: store.check(),
    "put": lambda store: store.put_if_absent("a/x", b""),
    "read": lambda store: store.read("a/x"),
    "list": lambda store: store.list("a"),
    "keep": lambda store: keep(store),
}


def keep(store: Store) -> None:
    with store.sink("a") as sink:
        store.keep(sink, "a/x")


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that this process may not enter, even if the tests run as root."""
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o700)


def fault_of(touch: Callable[[], object]) -> DistilleryError:
    """The error of an operation, which has one line."""
    with pytest.raises(DistilleryError) as raised:
        touch()
    assert len(str(raised.value).splitlines()) == 1
    return raised.value


def test_check_creates_the_folders_of_a_new_root(tmp_path: Path) -> None:
    Store(str(tmp_path / "new" / "root")).check()
    assert (tmp_path / "new" / "root").is_dir()


@pytest.mark.parametrize("below", ["", "/deeper/root"])
def test_a_root_that_is_a_file_is_a_user_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    root = f"{tmp_path}/file{below}"
    error = fault_of(Store(root).check)
    assert isinstance(error, UserError)
    assert root in str(error)


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_a_folder_without_rights_is_a_user_error(
    closed_folder: Path, touch: Callable[[Store], object]
) -> None:
    error = fault_of(lambda: touch(Store(str(closed_folder))))
    assert isinstance(error, UserError)
    assert "not allowed" in str(error)


def test_an_unreadable_folder_does_not_count_as_empty(closed_folder: Path) -> None:
    with pytest.raises(UserError, match="not allowed"):
        Store(str(closed_folder.parent)).list("")


def test_files_of_a_killed_writer_are_reported(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put_if_absent("a/x", b"")
    left = tmp_path / "a" / "b" / ".dead.part"
    left.parent.mkdir()
    left.write_bytes(b"half")
    assert store.unfinished() == {"a/b/.dead.part": left.stat().st_mtime}


def test_a_writer_that_finishes_during_the_listing_is_no_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put_if_absent("a/x", b"")
    (tmp_path / "a" / ".finished.part").symlink_to(tmp_path / "renamed")
    assert store.unfinished() == {}


def test_a_full_disk_leaves_no_partial_file(tmp_path: Path) -> None:
    partial = tmp_path / "x.part"
    partial.symlink_to("/dev/full")
    sink = HashingSink(partial)
    sink.write(b"more than fits")
    with pytest.raises(OSError, match="No space left"):
        sink.discard()
    assert not partial.is_symlink()


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
@pytest.mark.usefixtures("s3_bucket")
def test_a_missing_bucket_is_a_user_error(touch: Callable[[Store], object]) -> None:
    error = fault_of(lambda: touch(Store("s3://no-such-bucket/root")))
    assert isinstance(error, UserError)
    assert "s3://no-such-bucket/root" in str(error)
    assert "bucket" in str(error).split(":", 2)[-1]


@pytest.fixture
def s3_settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with arbitrary keys, which the server does not check."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def test_a_closed_port_is_reported_soon(s3_settings: pytest.MonkeyPatch) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        s3_settings.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        error = fault_of(Store("s3://bucket/root").check)
    assert isinstance(error, TransientError)
    assert "s3://bucket/root" in str(error)


class _Broken(BaseHTTPRequestHandler):
    """A broken server; status 0 closes the connection."""

    status = 500

    def do_PUT(self) -> None:
        if self.status:
            self.send_response(self.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.mark.parametrize(
    ("status", "kind"), [(500, TransientError), (0, TransientError), (403, UserError)]
)
def test_server_errors_are_transient_and_refusals_are_not(
    s3_settings: pytest.MonkeyPatch, status: int, kind: type[DistilleryError]
) -> None:
    handler = type("Handler", (_Broken,), {"status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        s3_settings.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        assert isinstance(fault_of(Store("s3://bucket/root").check), kind)
        server.shutdown()


def test_missing_credentials_are_a_user_error(
    s3_settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        s3_settings.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        s3_settings.setenv(name, str(tmp_path / "none"))
    error = fault_of(Store("s3://bucket/root").check)
    assert isinstance(error, UserError)
    assert "credentials" in str(error)


@pytest.mark.parametrize(
    "root", ["ftp://someone:hidden@127.0.0.1:9/x", "nosuch://someone:hidden@host/x"]
)
def test_no_message_contains_credentials(root: str) -> None:
    error = fault_of(lambda: Store(root).check())
    assert "hidden" not in str(error)
    assert "someone" not in str(error)


@pytest.mark.usefixtures("s3_bucket")
def test_the_repr_of_a_store_has_no_credentials() -> None:
    store = Store("s3://someone:hid/den@bucket/root")
    assert store.root == "s3://bucket/root"
    assert "den" not in repr(store)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/a@b", "s3://bucket/a@b"),
        ("s3://token@bucket/x", "s3://bucket/x"),
        ("https://u:p@h/x?sig=1 and https://u:q/r@h/y", "https://h/x and https://h/y"),
        ("is it there? mail me@host", "is it there? mail me@host"),
    ],
)
def test_secrets_are_removed_from_texts(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert str(UserError(text)) == shown


@pytest.mark.parametrize(
    ("fault", "is_local", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True, UserError),
        (OSError(errno.EROFS, "Read-only file system"), True, UserError),
        (OSError(errno.EIO, "Input/output error"), True, OSError),
        (OSError(errno.EIO, "busy"), False, TransientError),
        (TimeoutError("slow"), False, TransientError),
        (PermissionError("denied"), False, UserError),
        (FileNotFoundError("gone"), False, FileNotFoundError),
        (ZeroDivisionError("not a fault of storage"), False, ZeroDivisionError),
    ],
)
def test_a_fault_is_translated_by_who_can_fix_it(
    fault: Exception, is_local: bool, kind: type[Exception]
) -> None:
    with (
        pytest.raises(kind) as raised,
        translated_errors("write to", "the root", is_local=is_local),
    ):
        raise fault
    assert type(raised.value) is kind

"""Downloads are resumed and verified; partial files are never used."""

import errno
import fcntl
import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import FileIO
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO

import pytest

from storage.errors import DistilleryError, IntegrityError, TransientError, UserError
from tasks.download.fetch import Digest, fetch, read_small
from tests.file_server import serving
from tests.hub_server import git_sha1
from tests.tasks.download.conftest import FileServer

DATA = random.Random(0).randbytes(3_000_000)
EXPECTED = Digest(algorithm="sha256", hexadecimal=hashlib.sha256(DATA).hexdigest())
BROKEN_AT = 1_200_000


@pytest.fixture
def url(server: FileServer) -> str:
    server.files["speech.tar.gz"] = DATA
    return f"{server.url}/speech.tar.gz"


def download_file(
    url: str, scratch: Path, expected: Digest | None = EXPECTED, **options: Any
) -> bytes:
    with fetch(url, expected, scratch, **options) as path:
        return path.read_bytes()


def partials(scratch: Path) -> list[int]:
    return [path.stat().st_size for path in scratch.glob("*.part")]


def everything(scratch: Path) -> list[Path]:
    return list(scratch.iterdir())


@contextmanager
def broken_off(server: FileServer) -> Iterator[None]:
    server.breaks_after = BROKEN_AT
    with pytest.raises(TransientError):
        yield
    server.breaks_after = None


def test_a_file_is_downloaded_verified_and_removed(url: str, tmp_path: Path) -> None:
    assert download_file(url, tmp_path) == DATA
    assert everything(tmp_path) == []


def test_compression_in_transit_is_not_requested(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    download_file(url, tmp_path)
    assert server.encodings == {"identity"}


def test_md5_is_supported(url: str, tmp_path: Path) -> None:
    md5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert download_file(url, tmp_path, Digest(algorithm="md5", hexadecimal=md5)) == DATA


def test_an_interrupted_download_is_resumed(url: str, server: FileServer, tmp_path: Path) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    assert partials(tmp_path) == [BROKEN_AT]
    server.requests.clear()
    assert download_file(url, tmp_path) == DATA
    assert server.requests == [("speech.tar.gz", f"bytes={BROKEN_AT}-")]
    assert everything(tmp_path) == []


@pytest.mark.parametrize("etag", [None, '"one"'])
def test_a_call_retries_as_long_as_there_is_progress(
    url: str, server: FileServer, tmp_path: Path, etag: str | None
) -> None:
    server.etag = etag
    server.breaks = [100_000, 0, 0, 1, 0, 0, 0, 0, 1_000_000, 65_537, 0]
    assert download_file(url, tmp_path) == DATA
    starts = [0, 100_000, 100_000, 100_000, *[100_001] * 5, 1_100_001, 1_165_538, 1_165_538]
    assert [byte_range for _, byte_range in server.requests] == [
        f"bytes={start}-" if start else None for start in starts
    ]


@pytest.mark.parametrize("seed", range(8))
def test_interruptions_do_not_change_the_result(
    url: str, server: FileServer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    data = server.files["speech.tar.gz"] = DATA[:200_000]
    expected = Digest(algorithm="sha256", hexadecimal=hashlib.sha256(data).hexdigest())
    server.etag = chance.choice([None, 'W/"one"', '"one"'])
    server.modified = chance.choice([None, "Thu, 01 Jan 2026 00:00:00 GMT"])
    server.heeds_if_range, server.shifts_ranges = chance.random() < 0.5, chance.random() < 0.2
    for known in (expected, None):
        for _ in range(4):  # calls that come to no end
            server.takes_ranges = chance.random() < 0.7
            server.breaks_after = chance.randrange(len(data))
            server.breaks = [chance.randrange(60_000) for _ in range(4)]
            with pytest.raises(TransientError):
                download_file(url, tmp_path, known)
        server.breaks_after = None
        assert download_file(url, tmp_path, known) == data
        assert everything(tmp_path) == []


def test_the_download_of_a_killed_process_is_resumed(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    program = f"""
import os, signal
from pathlib import Path
from tasks.download.fetch import fetch

def die(num_bytes):
    if num_bytes > {BROKEN_AT}:
        os.kill(os.getpid(), signal.SIGKILL)

with fetch({url!r}, None, Path({str(tmp_path)!r}), die):
    pass
"""
    server.etag = '"one"'
    killed = subprocess.run([sys.executable, "-c", program], cwd=os.getcwd(), check=False)
    assert killed.returncode == -signal.SIGKILL
    [held] = partials(tmp_path)
    assert BROKEN_AT < held < len(DATA)
    assert download_file(url, tmp_path) == DATA
    assert server.requests[1:] == [("speech.tar.gz", f"bytes={held}-")]
    assert everything(tmp_path) == []


def test_a_server_without_progress_is_a_transient_error(
    url: str, server: FileServer, tmp_path: Path, waits: list[float]
) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    assert len(server.requests) == 1 + 5
    for number, wait_s in enumerate(waits):
        assert 2**number / 2 <= wait_s <= 2**number
    server.takes_ranges = False  # what comes is not new then, however much of it
    server.requests.clear()
    with broken_off(server):
        download_file(url, tmp_path)
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
@pytest.mark.parametrize(
    ("headers", "shortest_s", "longest_s"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "86400"}, 60, 60),
        ({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(days=1), True)}, 60, 60),
        ({"Retry-After": format_datetime(datetime.now(UTC) - timedelta(days=1), True)}, 0.5, 2),
        ({"Retry-After": "soon"}, 0.5, 2),
        ({"RateLimit": '"api";r=0;t=31'}, 31, 31),
        ({}, 0.5, 2),
    ],
)
def test_retry_after_is_respected(
    url: str,
    server: FileServer,
    tmp_path: Path,
    waits: list[float],
    status: int,
    headers: dict[str, str],
    shortest_s: float,
    longest_s: float,
) -> None:
    server.refusals = [(status, headers)]
    assert download_file(url, tmp_path) == DATA
    assert len(waits) == 1 and shortest_s <= waits[0] <= longest_s


@pytest.mark.parametrize("name", ["etag", "modified"])
@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("is_digest_known", [True, False])
def test_a_part_of_another_version_is_discarded(
    url: str,
    server: FileServer,
    tmp_path: Path,
    name: str,
    heeds_if_range: bool,
    is_digest_known: bool,
) -> None:
    server.heeds_if_range = heeds_if_range
    older, newer = (
        ('"one"', '"two"')
        if name == "etag"
        else ("Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 02 Jan 2026 00:00:00 GMT")
    )
    setattr(server, name, older)
    expected = EXPECTED if is_digest_known else None
    server.files["speech.tar.gz"] = bytes(len(DATA))
    with broken_off(server):
        download_file(url, tmp_path, expected)
    server.files["speech.tar.gz"] = DATA
    setattr(server, name, newer)
    assert download_file(url, tmp_path, expected) == DATA
    assert everything(tmp_path) == []


@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', None])
def test_without_a_digest_a_part_is_kept_only_with_a_version(
    url: str, server: FileServer, tmp_path: Path, etag: str | None
) -> None:
    server.etag = etag
    with broken_off(server):
        download_file(url, tmp_path, None)
    server.requests.clear()
    assert download_file(url, tmp_path, None) == DATA
    resumed = f"bytes={BROKEN_AT}-" if etag == '"one"' else None
    assert server.requests == [("speech.tar.gz", resumed)]
    assert everything(tmp_path) == []


@pytest.mark.parametrize("expected", [EXPECTED, None])
def test_another_range_than_requested_is_discarded(
    url: str, server: FileServer, tmp_path: Path, expected: Digest | None
) -> None:
    server.etag, server.shifts_ranges = '"one"', True
    server.breaks = [100_000]
    assert download_file(url, tmp_path, expected) == DATA
    assert [byte_range for _, byte_range in server.requests] == [None, "bytes=100000-", None]


def test_a_part_longer_than_the_file_is_discarded(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.etag = '"one"'
    for expected in (EXPECTED, None):
        with broken_off(server):
            download_file(url, tmp_path, expected)
        [partial] = tmp_path.glob("*.part")
        partial.write_bytes(DATA + b"?")
        assert download_file(url, tmp_path, expected) == DATA


@pytest.mark.parametrize("size_bytes", [None, len(DATA)])
def test_without_a_digest_the_size_is_verified(
    url: str, server: FileServer, tmp_path: Path, size_bytes: int | None
) -> None:
    assert download_file(url, tmp_path, None, size_bytes=size_bytes) == DATA
    with broken_off(server):
        download_file(url, tmp_path, None, size_bytes=size_bytes)


@pytest.mark.parametrize("expected", [EXPECTED, None])
def test_a_file_of_another_size_is_refused_before_the_download(
    url: str, server: FileServer, tmp_path: Path, expected: Digest | None
) -> None:
    with pytest.raises(UserError, match=f"has {len(DATA)} bytes, expected 5: a different release"):
        download_file(url, tmp_path, expected, size_bytes=5)
    (tmp_path / "speech.tar.gz").write_bytes(DATA)
    with pytest.raises(UserError, match=f"has {len(DATA)} bytes, expected 5: a different release"):
        download_file(str(tmp_path / "speech.tar.gz"), tmp_path, expected, size_bytes=5)


def test_a_response_without_a_length_needs_a_size_or_a_digest(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.says_size = False
    assert download_file(url, tmp_path) == DATA
    assert download_file(url, tmp_path, None, size_bytes=len(DATA)) == DATA
    with pytest.raises(UserError, match="states no size, and no digest is known"):
        download_file(url, tmp_path, None)
    with pytest.raises(UserError, match=f"has {len(DATA)} bytes, expected 5"):
        download_file(url, tmp_path, None, size_bytes=5)
    server.breaks = [1_000]
    assert download_file(url, tmp_path, None, size_bytes=len(DATA)) == DATA


def test_a_file_is_verified_by_its_git_blob_id(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    named = Digest(algorithm="git-sha1", hexadecimal=git_sha1(DATA))
    with broken_off(server):
        download_file(url, tmp_path, named)
    assert download_file(url, tmp_path, named) == DATA
    (tmp_path / "local").write_bytes(DATA)
    assert download_file(str(tmp_path / "local"), tmp_path, named) == DATA
    server.corrupted["speech.tar.gz"] = 17
    with pytest.raises(IntegrityError, match="git-sha1"):
        download_file(url, tmp_path, named)


@pytest.mark.parametrize("place", [0, BROKEN_AT - 1, BROKEN_AT, len(DATA) - 1])
def test_a_corrupted_byte_is_detected(
    url: str, server: FileServer, tmp_path: Path, place: int
) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    [partial] = tmp_path.glob("*.part")
    held = bytearray(partial.read_bytes())
    if place < BROKEN_AT:
        held[place] ^= 1
        partial.write_bytes(held)
    else:
        server.corrupted["speech.tar.gz"] = place
    with pytest.raises(IntegrityError):
        download_file(url, tmp_path)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("num_per_host", [1, 3])
def test_downloads_per_host_are_limited(
    server: FileServer, tmp_path: Path, num_per_host: int
) -> None:
    server.delay_s = 0.03
    server.files = {f"{number}": DATA[:1_000] for number in range(9)}

    def attempt(name: str) -> bytes:
        return download_file(f"{server.url}/{name}", tmp_path, None, num_per_host=num_per_host)

    with ThreadPoolExecutor(9) as pool:
        assert set(pool.map(attempt, server.files)) == {DATA[:1_000]}
    assert server.most_at_once == num_per_host


def test_a_failed_download_releases_its_slot(url: str, server: FileServer, tmp_path: Path) -> None:
    server.refusals = [(404, {})]
    with pytest.raises(UserError):
        download_file(url, tmp_path, num_per_host=1)
    assert download_file(url, tmp_path, num_per_host=1) == DATA


def test_a_token_is_sent_to_its_host_only(
    url: str, server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Bearer hf_hidden"}
    other = FileServer(files=server.files)
    with serving(other.answer) as server.redirects_to:
        assert download_file(url, tmp_path, headers=headers) == DATA
        other.status = 403
        with pytest.raises(UserError) as raised:
            download_file(url, tmp_path, headers=headers)
    assert server.authorizations == ["Bearer hf_hidden"] * 2
    assert other.authorizations == [None] * 2
    assert "hf_hidden" not in f"{raised.value} {caplog.text}"


def test_a_malformed_token_is_refused_and_not_revealed(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a request header is malformed") as raised:
        download_file(url, tmp_path, headers={"Authorization": "Bearer hf_hidden\n"})
    assert "hf_hidden" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_full_disk_is_reported_with_its_folder(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(FileIO):
        def write(self, data: Any, /) -> int:
            if self.tell() > 1_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:50_001])  # as the last write before it is full

    monkeypatch.setattr("tasks.download.fetch.FileIO", FullDisk)
    with pytest.raises(UserError, match=f"cannot write to {tmp_path}: No space left"):
        download_file(url, tmp_path)
    monkeypatch.undo()
    assert download_file(url, tmp_path) == DATA


def test_a_server_that_ignores_ranges_sends_the_whole_file(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.takes_ranges = False
    with broken_off(server):
        download_file(url, tmp_path)
    assert download_file(url, tmp_path) == DATA


def test_a_complete_unused_file_is_not_downloaded_again(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError), fetch(url, EXPECTED, tmp_path):
        raise ZeroDivisionError
    assert download_file(url, tmp_path) == DATA
    assert server.requests[1:] == [("speech.tar.gz", f"bytes={len(DATA)}-")]


@pytest.mark.parametrize("changed", [DATA[:-1] + b"?", DATA + b"?", DATA[:-1], b""])
def test_wrong_bytes_are_refused_and_removed(
    url: str, server: FileServer, tmp_path: Path, changed: bytes
) -> None:
    server.files["speech.tar.gz"] = changed
    with pytest.raises(IntegrityError, match=r"speech\.tar\.gz has sha256"):
        download_file(url, tmp_path)
    assert partials(tmp_path) == []
    server.files["speech.tar.gz"] = DATA
    assert download_file(url, tmp_path) == DATA


def test_a_corrupt_partial_file_is_detected(url: str, server: FileServer, tmp_path: Path) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    [partial] = tmp_path.glob("*.part")
    partial.write_bytes(b"?" + partial.read_bytes()[1:])
    with pytest.raises(IntegrityError):
        download_file(url, tmp_path)
    assert download_file(url, tmp_path) == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_or_forbidden_file_is_a_user_error(
    url: str, server: FileServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(UserError, match=f"speech.tar.gz returned {status}"):
        download_file(url, tmp_path)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_server_errors_are_transient(
    url: str, server: FileServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(TransientError, match=f"speech.tar.gz returned {status}"):
        download_file(url, tmp_path)
    server.status = None
    assert download_file(url, tmp_path) == DATA


def test_an_error_page_is_not_added_to_a_partial(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    before = partials(tmp_path)
    server.status = 503
    with pytest.raises(TransientError):
        download_file(url, tmp_path)
    assert partials(tmp_path) == before == [BROKEN_AT]


def test_an_unreachable_server_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        download_file("http://127.0.0.1:9/x", tmp_path)


def test_progress_is_reported_in_received_bytes(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with broken_off(server):
        download_file(url, tmp_path)
    [held] = partials(tmp_path)
    reported: list[int] = []
    with fetch(url, EXPECTED, tmp_path, reported.append):
        pass
    assert reported == sorted(reported)
    assert held < reported[0]
    assert reported[-1] == len(DATA)


def test_only_one_of_two_concurrent_downloads_runs(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.waits_for = Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(download_file, url, tmp_path)
        while not server.requests:
            pass
        with pytest.raises(TransientError, match="another process"):
            download_file(url, tmp_path)
        server.waits_for.set()
        assert first.result() == DATA
    assert len(server.requests) == 1


def test_concurrent_downloads_never_corrupt_the_file(url: str, tmp_path: Path) -> None:
    def attempt(_: int) -> bytes | None:
        try:
            return download_file(url, tmp_path)
        except TransientError:
            return None

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(attempt, range(60)))
    assert set(found) - {None} == {DATA}
    assert partials(tmp_path) == []


def test_a_partial_file_deleted_before_the_lock_is_created_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def lock_late(file: BinaryIO, operation: int) -> None:
        monkeypatch.undo()
        [partial] = tmp_path.iterdir()
        partial.unlink()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    assert download_file(url, tmp_path) == DATA


def test_a_local_file_is_used_in_place(tmp_path: Path) -> None:
    scratch, mirror = tmp_path / "scratch", tmp_path / "speech.tar.gz"
    scratch.mkdir()
    mirror.write_bytes(DATA)
    for url in (str(mirror), mirror.as_uri()):
        with fetch(url, EXPECTED, scratch) as path:
            assert path == mirror
    assert partials(scratch) == []
    mirror.write_bytes(DATA[:-1])
    with pytest.raises(IntegrityError):
        download_file(str(mirror), scratch)
    assert mirror.exists()
    with pytest.raises(UserError, match="does not exist"):
        download_file(str(tmp_path / "nothing.tar"), scratch)


def test_a_bucket_is_a_source(s3_bucket: object, tmp_path: Path) -> None:
    s3_bucket.put_object(Key="mirror/speech.tar.gz", Body=DATA)
    assert download_file("s3://bucket/mirror/speech.tar.gz", tmp_path) == DATA
    with pytest.raises(UserError, match="nothing"):
        download_file("s3://bucket/mirror/nothing.tar.gz", tmp_path)
    with pytest.raises(UserError, match="no-such-bucket"):
        download_file("s3://no-such-bucket/speech.tar.gz", tmp_path)


@pytest.mark.parametrize("url", ["nosuch://host/x", "http://", "http://[::1", "memory://nothing"])
def test_an_invalid_address_is_a_user_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        download_file(url, tmp_path)


def test_messages_contain_no_credentials(server: FileServer, tmp_path: Path) -> None:
    host = server.url.removeprefix("http://")
    with pytest.raises(DistilleryError) as raised:
        download_file(f"http://someone:hidden@{host}/nothing?signature=hidden", tmp_path)
    assert f"{host}/nothing returned 404" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_small_file_is_read_as_text(server: FileServer, tmp_path: Path) -> None:
    server.files["SHA256SUMS"] = b"abc  x\n"
    (tmp_path / "SHA256SUMS").write_bytes(b"abc  x\n")
    assert read_small(f"{server.url}/SHA256SUMS") == "abc  x\n"
    assert read_small(str(tmp_path / "SHA256SUMS")) == "abc  x\n"
    with pytest.raises(UserError, match="nothing"):
        read_small(str(tmp_path / "nothing"))

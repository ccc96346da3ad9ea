"""Bringing a file: resumed, verified, and never half of it taken for the whole."""

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


def bring(url: str, scratch: Path, expected: Digest | None = EXPECTED, **options: Any) -> bytes:
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


def test_a_file_is_brought_verified_and_cleared_away(url: str, tmp_path: Path) -> None:
    assert bring(url, tmp_path) == DATA
    assert everything(tmp_path) == []


def test_no_file_is_compressed_on_the_way(url: str, server: FileServer, tmp_path: Path) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    bring(url, tmp_path)
    assert server.encodings == {"identity"}


def test_an_md5_serves_as_well(url: str, tmp_path: Path) -> None:
    md5 = hashlib.md5(DATA).hexdigest()
    assert bring(url, tmp_path, Digest(algorithm="md5", hexadecimal=md5)) == DATA


def test_what_was_broken_off_is_resumed_where_it_was(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    assert partials(tmp_path) == [BROKEN_AT]
    server.asked.clear()
    assert bring(url, tmp_path) == DATA
    assert server.asked == [("speech.tar.gz", f"bytes={BROKEN_AT}-")]
    assert everything(tmp_path) == []


@pytest.mark.parametrize("etag", [None, '"one"'])
def test_one_call_goes_on_as_long_as_something_new_comes(
    url: str, server: FileServer, tmp_path: Path, etag: str | None
) -> None:
    server.etag = etag
    server.breaks = [100_000, 0, 0, 1, 0, 0, 0, 0, 1_000_000, 65_537, 0]
    assert bring(url, tmp_path) == DATA
    starts = [0, 100_000, 100_000, 100_000, *[100_001] * 5, 1_100_001, 1_165_538, 1_165_538]
    assert [asked for _, asked in server.asked] == [
        f"bytes={start}-" if start else None for start in starts
    ]


@pytest.mark.parametrize("seed", range(8))
def test_however_it_is_interrupted_it_ends_the_same(
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
                bring(url, tmp_path, known)
        server.breaks_after = None
        assert bring(url, tmp_path, known) == data
        assert everything(tmp_path) == []


def test_what_a_killed_process_held_is_resumed(
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
    assert bring(url, tmp_path) == DATA
    assert server.asked[1:] == [("speech.tar.gz", f"bytes={held}-")]
    assert everything(tmp_path) == []


def test_a_server_that_brings_nothing_new_is_left_for_later(
    url: str, server: FileServer, tmp_path: Path, waits: list[float]
) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    assert len(server.asked) == 1 + 5
    for number, wait_s in enumerate(waits):
        assert 2**number / 2 <= wait_s <= 2**number
    server.takes_ranges = False  # what comes is not new then, however much of it
    server.asked.clear()
    with broken_off(server):
        bring(url, tmp_path)
    assert len(server.asked) == 5


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
def test_a_server_says_when_to_ask_again(
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
    assert bring(url, tmp_path) == DATA
    assert len(waits) == 1 and shortest_s <= waits[0] <= longest_s


@pytest.mark.parametrize("name", ["etag", "modified"])
@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("is_digest_known", [True, False])
def test_a_part_of_another_version_is_thrown_away(
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
        bring(url, tmp_path, expected)
    server.files["speech.tar.gz"] = DATA
    setattr(server, name, newer)
    assert bring(url, tmp_path, expected) == DATA
    assert everything(tmp_path) == []


@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', None])
def test_without_a_digest_only_a_version_makes_a_part_worth_keeping(
    url: str, server: FileServer, tmp_path: Path, etag: str | None
) -> None:
    server.etag = etag
    with broken_off(server):
        bring(url, tmp_path, None)
    server.asked.clear()
    assert bring(url, tmp_path, None) == DATA
    resumed = f"bytes={BROKEN_AT}-" if etag == '"one"' else None
    assert server.asked == [("speech.tar.gz", resumed)]
    assert everything(tmp_path) == []


@pytest.mark.parametrize("expected", [EXPECTED, None])
def test_a_range_from_another_place_is_not_added(
    url: str, server: FileServer, tmp_path: Path, expected: Digest | None
) -> None:
    server.etag, server.shifts_ranges = '"one"', True
    server.breaks = [100_000]
    assert bring(url, tmp_path, expected) == DATA
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", None]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.etag = '"one"'
    for expected in (EXPECTED, None):
        with broken_off(server):
            bring(url, tmp_path, expected)
        [partial] = tmp_path.glob("*.part")
        partial.write_bytes(DATA + b"?")
        assert bring(url, tmp_path, expected) == DATA


@pytest.mark.parametrize("size_bytes", [None, len(DATA)])
def test_without_a_digest_the_size_decides(
    url: str, server: FileServer, tmp_path: Path, size_bytes: int | None
) -> None:
    assert bring(url, tmp_path, None, size_bytes=size_bytes) == DATA
    with broken_off(server):
        bring(url, tmp_path, None, size_bytes=size_bytes)


@pytest.mark.parametrize("expected", [EXPECTED, None])
def test_a_file_of_another_size_is_refused_before_it_is_brought(
    url: str, server: FileServer, tmp_path: Path, expected: Digest | None
) -> None:
    with pytest.raises(UserError, match=f"has {len(DATA)} bytes, expected 5: a different release"):
        bring(url, tmp_path, expected, size_bytes=5)
    (tmp_path / "speech.tar.gz").write_bytes(DATA)
    with pytest.raises(UserError, match=f"has {len(DATA)} bytes, expected 5: a different release"):
        bring(str(tmp_path / "speech.tar.gz"), tmp_path, expected, size_bytes=5)


def test_what_ends_with_its_connection_needs_a_size_or_a_digest(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.says_size = False
    assert bring(url, tmp_path) == DATA
    assert bring(url, tmp_path, None, size_bytes=len(DATA)) == DATA
    with pytest.raises(UserError, match="states no size, and no digest is known"):
        bring(url, tmp_path, None)
    with pytest.raises(UserError, match=f"has {len(DATA)} bytes, expected 5"):
        bring(url, tmp_path, None, size_bytes=5)
    server.breaks = [1_000]
    assert bring(url, tmp_path, None, size_bytes=len(DATA)) == DATA


def test_a_file_is_told_by_the_name_that_git_gives_it(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    named = Digest(algorithm="git-sha1", hexadecimal=git_sha1(DATA))
    with broken_off(server):
        bring(url, tmp_path, named)
    assert bring(url, tmp_path, named) == DATA
    (tmp_path / "local").write_bytes(DATA)
    assert bring(str(tmp_path / "local"), tmp_path, named) == DATA
    server.corrupted["speech.tar.gz"] = 17
    with pytest.raises(IntegrityError, match="git-sha1"):
        bring(url, tmp_path, named)


@pytest.mark.parametrize("place", [0, BROKEN_AT - 1, BROKEN_AT, len(DATA) - 1])
def test_a_corrupted_byte_is_found(
    url: str, server: FileServer, tmp_path: Path, place: int
) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    [partial] = tmp_path.glob("*.part")
    held = bytearray(partial.read_bytes())
    if place < BROKEN_AT:
        held[place] ^= 1
        partial.write_bytes(held)
    else:
        server.corrupted["speech.tar.gz"] = place
    with pytest.raises(IntegrityError):
        bring(url, tmp_path)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("num_per_host", [1, 3])
def test_no_more_are_under_way_from_a_host_than_is_allowed(
    server: FileServer, tmp_path: Path, num_per_host: int
) -> None:
    server.delay_s = 0.03
    server.files = {f"{number}": DATA[:1_000] for number in range(9)}

    def attempt(name: str) -> bytes:
        return bring(f"{server.url}/{name}", tmp_path, None, num_per_host=num_per_host)

    with ThreadPoolExecutor(9) as pool:
        assert set(pool.map(attempt, server.files)) == {DATA[:1_000]}
    assert server.most_at_once == num_per_host


def test_a_download_that_failed_lets_others_begin(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.refusals = [(404, {})]
    with pytest.raises(UserError):
        bring(url, tmp_path, num_per_host=1)
    assert bring(url, tmp_path, num_per_host=1) == DATA


def test_a_token_goes_to_the_host_that_was_named_and_no_other(
    url: str, server: FileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    headers = {"Authorization": "Bearer hf_hidden"}
    other = FileServer(files=server.files)
    with serving(other.answer) as server.redirects_to:
        assert bring(url, tmp_path, headers=headers) == DATA
        other.status = 403
        with pytest.raises(UserError) as raised:
            bring(url, tmp_path, headers=headers)
    assert server.authorizations == ["Bearer hf_hidden"] * 2
    assert other.authorizations == [None] * 2
    assert "hf_hidden" not in f"{raised.value} {caplog.text}"


def test_a_malformed_token_is_refused_and_not_told(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a request header is malformed") as raised:
        bring(url, tmp_path, headers={"Authorization": "Bearer hf_hidden\n"})
    assert "hf_hidden" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_full_disk_is_told_by_its_folder(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(FileIO):
        def write(self, data: Any, /) -> int:
            if self.tell() > 1_000_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:50_001])  # as the last write before it is full

    monkeypatch.setattr("tasks.download.fetch.FileIO", FullDisk)
    with pytest.raises(UserError, match=f"cannot write to {tmp_path}: No space left"):
        bring(url, tmp_path)
    monkeypatch.undo()
    assert bring(url, tmp_path) == DATA


def test_a_server_that_ignores_ranges_is_asked_for_the_whole(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    server.takes_ranges = False
    with broken_off(server):
        bring(url, tmp_path)
    assert bring(url, tmp_path) == DATA


def test_a_whole_file_that_was_not_used_is_not_brought_again(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError), fetch(url, EXPECTED, tmp_path):
        raise ZeroDivisionError
    assert bring(url, tmp_path) == DATA
    assert server.asked[1:] == [("speech.tar.gz", f"bytes={len(DATA)}-")]


@pytest.mark.parametrize("changed", [DATA[:-1] + b"?", DATA + b"?", DATA[:-1], b""])
def test_other_bytes_are_refused_and_removed(
    url: str, server: FileServer, tmp_path: Path, changed: bytes
) -> None:
    server.files["speech.tar.gz"] = changed
    with pytest.raises(IntegrityError, match=r"speech\.tar\.gz has sha256"):
        bring(url, tmp_path)
    assert partials(tmp_path) == []
    server.files["speech.tar.gz"] = DATA
    assert bring(url, tmp_path) == DATA


def test_a_partial_of_other_bytes_is_found_out(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    [partial] = tmp_path.glob("*.part")
    partial.write_bytes(b"?" + partial.read_bytes()[1:])
    with pytest.raises(IntegrityError):
        bring(url, tmp_path)
    assert bring(url, tmp_path) == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_missing_or_forbidden_is_the_users_mistake(
    url: str, server: FileServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(UserError, match=f"speech.tar.gz returned {status}"):
        bring(url, tmp_path)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_may_recover(
    url: str, server: FileServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(TransientError, match=f"speech.tar.gz returned {status}"):
        bring(url, tmp_path)
    server.status = None
    assert bring(url, tmp_path) == DATA


def test_an_error_page_is_not_added_to_a_partial(
    url: str, server: FileServer, tmp_path: Path
) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    before = partials(tmp_path)
    server.status = 503
    with pytest.raises(TransientError):
        bring(url, tmp_path)
    assert partials(tmp_path) == before == [BROKEN_AT]


def test_a_server_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        bring("http://127.0.0.1:9/x", tmp_path)


def test_progress_is_told_in_bytes_held(url: str, server: FileServer, tmp_path: Path) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    [held] = partials(tmp_path)
    told: list[int] = []
    with fetch(url, EXPECTED, tmp_path, told.append):
        pass
    assert told == sorted(told)
    assert held < told[0]
    assert told[-1] == len(DATA)


def test_of_two_at_once_one_brings_the_file(url: str, server: FileServer, tmp_path: Path) -> None:
    server.waits_for = Event()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(bring, url, tmp_path)
        while not server.asked:
            pass
        with pytest.raises(TransientError, match="another process"):
            bring(url, tmp_path)
        server.waits_for.set()
        assert first.result() == DATA
    assert len(server.asked) == 1


def test_many_at_once_never_get_other_bytes(url: str, tmp_path: Path) -> None:
    def attempt(_: int) -> bytes | None:
        try:
            return bring(url, tmp_path)
        except TransientError:
            return None

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(attempt, range(60)))
    assert set(found) - {None} == {DATA}
    assert partials(tmp_path) == []


def test_a_partial_that_another_removed_before_it_was_locked_is_made_anew(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def lock_late(file: BinaryIO, operation: int) -> None:
        monkeypatch.undo()
        [partial] = tmp_path.iterdir()
        partial.unlink()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    assert bring(url, tmp_path) == DATA


def test_a_local_file_is_used_where_it_lies(tmp_path: Path) -> None:
    scratch, mirror = tmp_path / "scratch", tmp_path / "speech.tar.gz"
    scratch.mkdir()
    mirror.write_bytes(DATA)
    for url in (str(mirror), mirror.as_uri()):
        with fetch(url, EXPECTED, scratch) as path:
            assert path == mirror
    assert partials(scratch) == []
    mirror.write_bytes(DATA[:-1])
    with pytest.raises(IntegrityError):
        bring(str(mirror), scratch)
    assert mirror.exists()
    with pytest.raises(UserError, match="does not exist"):
        bring(str(tmp_path / "nothing.tar"), scratch)


def test_a_bucket_is_a_source_too(s3_bucket: object, tmp_path: Path) -> None:
    s3_bucket.put_object(Key="mirror/speech.tar.gz", Body=DATA)
    assert bring("s3://bucket/mirror/speech.tar.gz", tmp_path) == DATA
    with pytest.raises(UserError, match="nothing"):
        bring("s3://bucket/mirror/nothing.tar.gz", tmp_path)
    with pytest.raises(UserError, match="no-such-bucket"):
        bring("s3://no-such-bucket/speech.tar.gz", tmp_path)


@pytest.mark.parametrize("url", ["nosuch://host/x", "http://", "http://[::1", "memory://nothing"])
def test_an_address_that_leads_nowhere_is_the_users_mistake(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        bring(url, tmp_path)


def test_no_message_tells_what_logs_in_or_signs(server: FileServer, tmp_path: Path) -> None:
    host = server.url.removeprefix("http://")
    with pytest.raises(DistilleryError) as raised:
        bring(f"http://someone:hidden@{host}/nothing?signature=hidden", tmp_path)
    assert f"{host}/nothing returned 404" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_small_file_is_read_as_text(server: FileServer, tmp_path: Path) -> None:
    server.files["SHA256SUMS"] = b"abc  x\n"
    (tmp_path / "SHA256SUMS").write_bytes(b"abc  x\n")
    assert read_small(f"{server.url}/SHA256SUMS") == "abc  x\n"
    assert read_small(str(tmp_path / "SHA256SUMS")) == "abc  x\n"
    with pytest.raises(UserError, match="nothing"):
        read_small(str(tmp_path / "nothing"))

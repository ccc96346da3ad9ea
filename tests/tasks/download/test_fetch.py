"""Bringing a file: resumed, verified, and never half of it taken for the whole."""

import fcntl
import hashlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import BinaryIO

import pytest

from storage.errors import DistilleryError, IntegrityError, TransientError, UserError
from tasks.download.fetch import Digest, fetched, read_small
from tests.tasks.download.conftest import FileServer

DATA = random.Random(0).randbytes(3_000_000)
EXPECTED = Digest(algorithm="sha256", hexadecimal=hashlib.sha256(DATA).hexdigest())
BROKEN_AT = 1_200_000


@pytest.fixture
def url(server: FileServer) -> str:
    server.files["speech.tar.gz"] = DATA
    return f"{server.url}/speech.tar.gz"


def bring(url: str, scratch: Path, expected: Digest = EXPECTED) -> bytes:
    with fetched(url, expected, scratch) as path:
        return path.read_bytes()


def partials(scratch: Path) -> list[int]:
    return [path.stat().st_size for path in scratch.iterdir()]


@contextmanager
def broken_off(server: FileServer) -> Iterator[None]:
    server.breaks_after = BROKEN_AT
    with pytest.raises(TransientError):
        yield
    server.breaks_after = None


def test_a_file_is_brought_verified_and_cleared_away(url: str, tmp_path: Path) -> None:
    assert bring(url, tmp_path) == DATA
    assert partials(tmp_path) == []


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
    [held] = partials(tmp_path)
    assert 0 < held <= BROKEN_AT
    assert bring(url, tmp_path) == DATA
    assert server.asked == [("speech.tar.gz", None), ("speech.tar.gz", f"bytes={held}-")]
    assert partials(tmp_path) == []


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
    with pytest.raises(ZeroDivisionError), fetched(url, EXPECTED, tmp_path):
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
    [partial] = tmp_path.iterdir()
    partial.write_bytes(b"?" + partial.read_bytes()[1:])
    with pytest.raises(IntegrityError):
        bring(url, tmp_path)
    assert bring(url, tmp_path) == DATA


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_missing_or_forbidden_is_the_users_mistake(
    url: str, server: FileServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(UserError, match=f"speech.tar.gz answers {status}"):
        bring(url, tmp_path)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_may_recover(
    url: str, server: FileServer, tmp_path: Path, status: int
) -> None:
    server.status = status
    with pytest.raises(TransientError, match=f"speech.tar.gz answers {status}"):
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
    assert partials(tmp_path) == before


def test_a_server_that_is_not_there_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9"):
        bring("http://127.0.0.1:9/x", tmp_path)


def test_progress_is_told_in_bytes_held(url: str, server: FileServer, tmp_path: Path) -> None:
    with broken_off(server):
        bring(url, tmp_path)
    [held] = partials(tmp_path)
    told: list[int] = []
    with fetched(url, EXPECTED, tmp_path, told.append):
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
        with fetched(url, EXPECTED, scratch) as path:
            assert path == mirror
    assert partials(scratch) == []
    mirror.write_bytes(DATA[:-1])
    with pytest.raises(IntegrityError):
        bring(str(mirror), scratch)
    assert mirror.exists()
    with pytest.raises(UserError, match="is not there"):
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
    assert f"{host}/nothing answers 404" in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_a_small_file_is_read_as_text(server: FileServer, tmp_path: Path) -> None:
    server.files["SHA256SUMS"] = b"abc  x\n"
    (tmp_path / "SHA256SUMS").write_bytes(b"abc  x\n")
    assert read_small(f"{server.url}/SHA256SUMS") == "abc  x\n"
    assert read_small(str(tmp_path / "SHA256SUMS")) == "abc  x\n"
    with pytest.raises(UserError, match="nothing"):
        read_small(str(tmp_path / "nothing"))

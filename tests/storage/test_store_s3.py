"""Requests to an S3 server: few connections, one request for a small file or a range."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from storage.store import Store
from tests.s3_servers import S3Server, bucket

NUM_THREADS = 40
MOST_CONNECTIONS = 16


@pytest.fixture
def requests(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Method and range of each request to the server."""
    from moto.server import DomainDispatcherApplication

    received: list[tuple[str, str]] = []
    call = DomainDispatcherApplication.__call__

    def recording(self: Any, environ: dict[str, str], start: Any) -> Any:
        received.append((environ["REQUEST_METHOD"], environ.get("HTTP_RANGE", "")))
        return call(self, environ, start)

    monkeypatch.setattr(DomainDispatcherApplication, "__call__", recording)
    return received


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        # it closes connections after each response, so a few can overlap
        ("moto", MOST_CONNECTIONS + 4),
        ("ceph", MOST_CONNECTIONS),
    ],
)
def test_many_stores_and_threads_share_few_connections(
    kind: str, most: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: S3Server = request.getfixturevalue(kind)
    bucket(server, "bucket")
    # a name of its own is a client of its own, whatever tests ran before
    for name, value in {**server.environment, "AWS_SDK_UA_APP_ID": kind}.items():
        monkeypatch.setenv(name, value)
    of_others = _connections(server)
    stores = [Store("s3://bucket/root") for _ in range(5)]
    for number in range(NUM_THREADS):
        stores[0].put_if_absent(f"shared/{number}", b"%d" % number)
    seen: list[int] = []

    def read(number: int) -> bytes:
        data = stores[number % 5].read(f"shared/{number}")
        seen.append(len(_connections(server) - of_others))
        return data

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        found = list(pool.map(read, range(NUM_THREADS)))
    assert found == [b"%d" % number for number in range(NUM_THREADS)]
    assert 0 < max(seen) <= most


def _connections(server: S3Server) -> set[int]:
    """The ports of this process's connections to a server."""
    port = urlsplit(server.url).port
    return {
        one.laddr.port
        for one in psutil.Process().net_connections("tcp")
        if one.raddr and one.raddr.port == port and one.status == psutil.CONN_ESTABLISHED
    }


def test_a_small_file_is_one_request_and_a_range_brings_no_more(
    s3_store: Store, requests: list[tuple[str, str]]
) -> None:
    s3_store.put_if_absent("small", b"0123456789")
    requests.clear()
    assert s3_store.read("small") == b"0123456789"
    assert requests == [("GET", "")]
    requests.clear()
    assert s3_store.read("small", 3, 6) == b"345"
    assert requests == [("GET", "bytes=3-5")]

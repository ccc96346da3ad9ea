"""Pages are served on loopback to whoever knows the token, and to nobody else."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.pages.server import PageServer, Reply, Request
from storage.errors import UserError

LETTERS = b"abcdefghij"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    """Serves the letters from memory and from a file, and says what it was asked."""
    file = tmp_path / "letters"
    file.write_bytes(LETTERS)

    def answer(request: Request) -> Reply | None:
        if request.path == "broken":
            raise RuntimeError("broken")
        bodies = {"bytes": LETTERS, "file": file, "": str(dict(request.query)).encode()}
        body = bodies.get(request.path)
        return None if body is None else Reply(body, "text/plain", {"X-Of-Reply": "yes"})

    with PageServer(answer, headers={"X-Of-Server": "yes"}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_page_is_below_its_token(server: PageServer) -> None:
    reply = httpx.get(server.url, params={"a": "b c"})
    assert (reply.status_code, reply.text) == (200, "{'a': 'b c'}")
    assert reply.headers["Content-Type"] == "text/plain"
    assert reply.headers["X-Of-Server"] == reply.headers["X-Of-Reply"] == "yes"
    assert reply.headers["Referrer-Policy"] == "no-referrer"


def test_a_wrong_token_gets_nothing(server: PageServer) -> None:
    base = server.url.replace(server.token, "{}")
    for token in ("", "x", server.token[:-1], f"{server.token}x", "é"):
        assert httpx.get(base.format(token)).status_code == 403
    assert httpx.get(server.url.removesuffix("/")).status_code == 403
    assert len(server.token) >= 32


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "127.0.0.1", "localhost:1"])
def test_another_host_gets_nothing(server: PageServer, host: str) -> None:
    assert httpx.get(server.url, headers={"Host": host}).status_code == 421


def test_localhost_is_the_same_machine(server: PageServer) -> None:
    host = f"localhost:{server.server_port}"
    assert httpx.get(server.url, headers={"Host": host}).status_code == 200


def test_it_listens_on_loopback_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["bytes", "file"])
@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("", 200, LETTERS),
        ("bytes=2-4", 206, b"cde"),
        ("bytes=7-", 206, b"hij"),
        ("bytes=-2", 206, b"ij"),
        ("bytes=8-99", 206, b"ij"),
        ("bytes=10-", 416, b""),
        ("bytes=-", 416, b""),
        ("lines=1-2", 200, LETTERS),
    ],
)
def test_ranges(server: PageServer, path: str, asked: str, status: int, expected: bytes) -> None:
    reply = httpx.get(server.url + path, headers={"Range": asked})
    assert (reply.status_code, reply.content) == (status, expected)
    if asked == "bytes=2-4":
        assert reply.headers["Content-Range"] == "bytes 2-4/10"


def test_what_is_not_there_and_what_breaks(server: PageServer) -> None:
    assert httpx.get(f"{server.url}none").status_code == 404
    assert httpx.get(f"{server.url}broken").status_code == 500
    assert httpx.post(server.url).status_code == 501
    head = httpx.head(f"{server.url}file")
    assert (head.headers["Content-Length"], head.content) == ("10", b"")


def test_a_port_in_use_is_one_line(server: PageServer) -> None:
    with pytest.raises(UserError, match=f"port {server.server_port} cannot be used"):
        PageServer(lambda _: None, port=server.server_port)

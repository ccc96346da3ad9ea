"""Pages are served on loopback to those who know the token, and to nobody else."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from flows.pages.server import guarded, listen, new_token
from storage.errors import UserError
from tests.flows.pages.serving import serving

TOKEN = new_token()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A page that says hello."""

    def hello(_: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Mount(f"/{TOKEN}", routes=[Route("/", hello)])])
    with serving(guarded(app, TOKEN, {"X-Of-Page": "yes"}), TOKEN) as url:
        yield url


def test_the_page_is_below_its_token(url: str) -> None:
    reply = httpx.get(url)
    assert (reply.status_code, reply.text) == (200, "hello")
    assert url.startswith("http://127.0.0.1:")
    assert len(TOKEN) >= 32
    assert new_token() != TOKEN


@pytest.mark.parametrize("path", ["", "none", "../x"])
def test_every_reply_has_the_headers(url: str, path: str) -> None:
    headers = httpx.get(url + path).headers
    assert headers["X-Of-Page"] == "yes"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "token",
    ["", "x", TOKEN[:-1], f"{TOKEN}x", TOKEN.swapcase(), "é"],
    ids=["none", "short", "cut", "longer", "other case", "no ASCII"],
)
def test_a_wrong_token_gets_nothing(url: str, token: str) -> None:
    reply = httpx.get(url.replace(TOKEN, token))
    assert (reply.status_code, "the token is missing or wrong" in reply.text) == (403, True)


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:80", "127.0.0.1.example.org", "[::1].example.org", ""]
)
def test_another_host_gets_nothing(url: str, host: str) -> None:
    reply = httpx.get(url, headers={"Host": host})
    assert (reply.status_code, "hello" in reply.text) == (403, False)


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:1", "[::1]:1"])
def test_an_address_is_this_machine(url: str, host: str) -> None:
    assert httpx.get(url, headers={"Host": host}).status_code == 200


def test_a_port_in_use_is_one_line() -> None:
    with listen(0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1 port {port}: .*--port"):
            listen(port)

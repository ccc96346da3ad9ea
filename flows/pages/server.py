"""Serves a page to one user's browser: on loopback, below a random token in the URL.

Without the token there is no answer. A page of another site whose name was pointed at this machine
(DNS rebinding) gets none either, since the `Host` header has to be an address or our name.
It knows nothing of what is served.
"""

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Mapping
from typing import Final

import uvicorn
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from storage.errors import UserError

LOOPBACK: Final = "127.0.0.1"
_TOKEN_BYTES: Final = 24
_HOST: Final = re.compile(r"(?:\[(?P<address>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::\d+)?")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def new_token() -> str:
    """A token that nobody can guess, for the path of a URL."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """A socket on `host`; port 0 takes a free one. Raises `UserError` if that is impossible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        is_of_system = error.errno is not None and error.errno > 0  # others are of name servers
        reason = os.strerror(error.errno or 0) if is_of_system else error.strerror
        raise UserError(
            f"cannot listen on {host} port {port}: {reason}; leave --port out for a free one"
        ) from error


def address(listening: socket.socket, token: str, host: str = LOOPBACK) -> str:
    """The URL of the page."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/{token}/"


def server(app: ASGIApp) -> uvicorn.Server:
    """A server whose `run` serves on the `sockets` that it is given, until the process ends.

    The signals that end it are those of the process.
    """
    settings = uvicorn.Config(
        app,
        loop="asyncio",  # uvloop would take over how signals are noticed
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,  # URLs have the token
        server_header=False,
    )
    return uvicorn.Server(settings)


def guarded(app: ASGIApp, token: str, headers: Mapping[str, str], host: str = LOOPBACK) -> ASGIApp:
    """An application whose paths begin with `/TOKEN/`, with `headers` in all of its replies.

    Requests without the token, or for another host, are refused.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**_HEADERS, **headers})
            await send(message)

        if scope["type"] != "http":
            return
        refusal = _refusal(scope, token, host)
        chosen = app if refusal is None else PlainTextResponse(f"{refusal}\n", 403)
        await chosen(scope, receive, send_with_headers)

    return answer


def _refusal(scope: Scope, token: str, host: str) -> str | None:
    """Why a request is refused; None if it is not."""
    asked = Headers(scope=scope).get("host", "")
    if not _is_this_machine(asked, host):
        return f"this server is not {asked[:100]!r}; open the address that the command printed"
    given = scope["path"].split("/")[1]
    if not secrets.compare_digest(given.encode(), token.encode()):
        return "the token is missing or wrong; open the address that the command printed"
    return None


def _is_this_machine(asked: str, host: str) -> bool:
    """Whether a Host header has an address, which no name server decides, or a name of ours."""
    if (match := _HOST.fullmatch(asked)) is None:
        return False
    name = match["address"] or match["name"]
    if name.lower() in ("localhost", host.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""Opens the listening room of a run, and serves it until the process ends."""

import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import uvicorn
from starlette.types import ASGIApp

from configs.schema import RunConfig
from flows.browse.app import Room
from flows.browse.audio import AudioReader
from flows.browse.marks import DEFAULT, MarkFiles
from flows.browse.query import UtteranceIndex
from flows.state.corpus_state import CorpusState
from storage.errors import UserError
from storage.store import Store

_TOKEN_BYTES = 24


def open_room(
    config: RunConfig,
    store: Store,
    states: Sequence[CorpusState],
    table: pa.Table,
    marks: MarkFiles,
) -> Room:
    """The room of a run whose index is `table` (UTTERANCES)."""
    shards = [
        shard.receipts["normalise"].output
        for state in states
        for shard in state.shards("train")
        if "normalise" in shard.receipts
    ]
    return Room(
        title=f"Listening room: {config.publish.name}",
        index=UtteranceIndex(table),
        audio=AudioReader(store, {one.path: one for one in shards}),
        marks=marks,
        units={name: config.filter_of(name).unit for name in config.corpora},
        advice=marks_advice(config, marks),
    )


def marks_advice(config: RunConfig, marks: MarkFiles) -> str:
    """Where marks go, and what makes the next run heed them."""
    paths = {str(path) for path in marks.paths.values()}
    unread = {
        str(path)
        for corpus, path in marks.paths.items()
        if config.filter_of(corpus).marks.file is None
        or Path(config.filter_of(corpus).marks.file or DEFAULT).expanduser() != path
    }
    told = f"marks are kept in {', '.join(sorted(paths))}"
    if unread:
        return f"{told}; to use them, set filter.marks.file: {', '.join(sorted(unread))}"
    return f"{told}; the next run uses them"


def new_token() -> str:
    """A token that nobody can guess, for the path of a URL."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def listen(host: str, port: int) -> socket.socket:
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


def address(listening: socket.socket, host: str, token: str) -> str:
    """The URL of the page."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}/{token}/"


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until the process ends; the signals that end it are not caught here."""
    settings = uvicorn.Config(
        app,
        loop="asyncio",  # uvloop would take over how signals are noticed
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(settings).run(sockets=[listening])

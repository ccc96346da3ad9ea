"""The command `browse`: the utterances of a run in a browser, by ear."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import Config, open_run
from flows.commands.terminal.render import say
from flows.commands.terminal.screen import complain, on_screen
from flows.dispatch.progress import progress
from flows.state.corpus_state import corpus_states
from flows.state.status import relisted_advice
from storage.errors import UserError


def command(
    config: Config,
    corpus: Annotated[
        list[str] | None, typer.Option(help="Of this corpus alone; may be repeated.")
    ] = None,
    marks: Annotated[
        Path | None, typer.Option(help="File of marks; else filter.marks.file, or marks.jsonl.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Listen to utterances in a browser, and mark those to exclude or to keep; until Ctrl-C."""
    # a web server, which other commands need not wait for
    from flows.browse.app import make_app
    from flows.browse.index import index_parts, read_index
    from flows.browse.marks import MarkFiles
    from flows.browse.room import open_room
    from flows.pages.server import address, listen, new_token, server

    settings, store = open_run(config)
    if unknown := sorted(set(corpus or ()) - settings.corpora.keys()):
        raise UserError(
            f"no corpus {unknown[0]!r} in the run; it has {', '.join(settings.corpora)}"
        )
    files = MarkFiles.of(settings, marks)
    files.check()
    states = corpus_states(settings, store)
    parts = index_parts([one for one in states if not corpus or one.name in corpus])
    with on_screen():
        bar = progress().bar("index", len(parts), "parts")
        table = read_index(parts, bar.advance)
    advice = relisted_advice(states)
    if not table.num_rows:
        raise UserError(
            advice
            or "no training speech is normalised yet; run `distillery run CONFIG --until score`"
        )
    if advice:
        complain(advice)
    room = open_room(settings, store, states, table, files)
    names = sorted(table["corpus"].unique().to_pylist())
    token = new_token()
    with listen(port, host) as listening:
        url = address(listening, token, host)
        say(f"{table.num_rows} utterances of {', '.join(names)}; {room.advice}")
        typer.echo(url)
        if open_page:
            webbrowser.open(url)
        server(make_app(room, token, host)).run(sockets=[listening])

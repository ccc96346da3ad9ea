"""The command `manifest` with its subcommands: list, show, verify, diff, export."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.failures import FAILED
from flows.commands.terminal.render import say, show
from flows.commands.terminal.screen import complain, on_screen
from flows.commands.views.manifest import (
    difference_view,
    manifest_view,
    manifests_view,
    verification_view,
)
from flows.dispatch.progress import progress
from flows.state.verification import files_of, verify, with_raw_files
from storage import manifest
from storage.difference import difference
from storage.errors import UserError
from storage.store import Store
from tasks.card import read_card
from tasks.download.verification import raw_files
from tasks.text.display import lines

if TYPE_CHECKING:
    from tasks.export.parts import Format

app = typer.Typer(help="The published manifests.", no_args_is_help=True)

Number = Annotated[int | None, typer.Argument(help="The newest by default.")]


@app.command("list")
def list_manifests(config: Config, as_json: AsJson = False) -> None:
    """List what is published under the root of a configuration."""
    _, store = open_run(config)
    found = [
        manifest.load(store, name, number)
        for name in manifest.names(store)
        for number in manifest.numbers(store, name)
    ]
    show(manifests_view(found), as_json=as_json)


@app.command("show")
def show_manifest(
    config: Config,
    number: Number = None,
    as_json: AsJson = False,
    card: Annotated[bool, typer.Option("--card", help="Print its card, in Markdown.")] = False,
) -> None:
    """Show the totals of a manifest by corpus; with --json all of it."""
    if card and as_json:
        raise UserError("--card prints Markdown; leave out --card or --json")
    settings, store = open_run(config)
    found = manifest.load(store, settings.publish.name, number)
    if card:
        typer.echo(lines(read_card(store, found)), nl=False)
    else:
        show(manifest_view(found), as_json=as_json)


@app.command("verify")
def verify_manifest(
    config: Config,
    number: Number = None,
    as_json: AsJson = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also hash the raw files that its shards were made from.")
    ] = False,
) -> None:
    """Hash every file that a manifest names; exit status 1 when one is missing or damaged."""
    settings, store = open_run(config)
    found = manifest.load(store, settings.publish.name, number)
    mirrors = {name: corpus.mirror for name, corpus in settings.corpora.items()}
    raws = raw_files(store, found, mirrors) if raw else []
    with nullcontext() if as_json else on_screen():
        bar = progress().bar("verify", len(files_of(found)) + len(raws), "files")
        verification = verify(config, settings, store, found, bar.advance)
        verification = with_raw_files(config, store, verification, raws, bar.advance)
    show(verification_view(verification), as_json=as_json)
    for one in () if as_json else verification.wrong:
        complain(one.problem)
        complain(f"  again: {one.again}")
    if verification.wrong:
        raise typer.Exit(FAILED)


@app.command("diff")
def diff_manifests(
    config: Config,
    before: Annotated[int, typer.Argument(help="The number of one manifest.")],
    after: Annotated[int, typer.Argument(help="The number of the other.")],
    as_json: AsJson = False,
) -> None:
    """Show which hours and rows were added or removed between two manifests, and why."""
    settings, store = open_run(config)
    one, other = (manifest.load(store, settings.publish.name, n) for n in (before, after))
    show(difference_view(difference(one, other)), as_json=as_json)


@app.command("export")
def export_manifest(
    config: Config,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[NUMBER] DEST",
            help="The number of a manifest, by default the newest; and a folder or URL.",
        ),
    ],
    to: Annotated[
        Literal["hf", "nemo"],
        typer.Option("--to", help="A Hugging Face data set, or audio with a NeMo manifest."),
    ],
) -> None:
    """Write the data of a manifest for another library; continues where it was interrupted."""
    settings, store = open_run(config)
    number, folder = _number_and_folder(words)
    found = manifest.load(store, settings.publish.name, number)
    dest = Store(folder, settings.runtime.scratch)
    dest.check()
    from tasks.export.parts import export

    with on_screen():
        bar = progress().bar(f"export to {to}", found.content.num_windows, "windows")
        export(found, store, dest, _format(to), bar.advance, settings.runtime.workers)
    say(f"{found.name} {found.number} is in {folder}")
    if closed := [name for name, terms in found.licences.items() if not terms.redistribution]:
        say(f"not to be redistributed, by their terms: {', '.join(closed)}")


def _number_and_folder(words: list[str]) -> tuple[int | None, str]:
    *numbers, folder = words
    if len(numbers) > 1 or not all(number.isdecimal() for number in numbers):
        raise UserError(f"expected [NUMBER] DEST, such as `3 exported`; found {' '.join(words)!r}")
    return (int(numbers[0]) if numbers else None), folder


def _format(name: Literal["hf", "nemo"]) -> "Format":
    if name == "hf":
        from tasks.export.hugging_face import HuggingFace

        return HuggingFace()
    from tasks.export.nemo import Nemo

    return Nemo()

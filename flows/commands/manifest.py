"""The commands of `distillery manifest`: what was published, and what can be done with it."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from flows.commands import screen
from flows.commands.options import AsJson, Config, open_run
from flows.dispatch.progress import progress
from flows.state.corpus_state import CorpusState
from storage import manifest
from storage.difference import difference
from storage.errors import UserError
from storage.manifest import Checked, Manifest
from storage.store import Store
from tasks.card import read_card

if TYPE_CHECKING:
    from tasks.export.parts import Format

_FAILED: Final = 1

app = typer.Typer(help="The published manifests.", no_args_is_help=True)

Number = Annotated[int | None, typer.Argument(help="The newest when left out.")]


@app.command("list")
def list_manifests(config: Config, as_json: AsJson = False) -> None:
    """What is published under the root of a configuration."""
    from flows.commands.render import print_manifests

    _, store = open_run(config)
    found = [
        manifest.load(store, name, number)
        for name in manifest.names(store)
        for number in manifest.numbers(store, name)
    ]
    if as_json:
        keys = ("name", "number", "digest", "published_at", "totals")
        values = [_as_value(one) for one in found]
        typer.echo(json.dumps([{key: value[key] for key in keys} for value in values], indent=1))
    else:
        print_manifests(found)


@app.command("show")
def show_manifest(
    config: Config,
    number: Number = None,
    as_json: AsJson = False,
    card: Annotated[bool, typer.Option("--card", help="Its card, in Markdown.")] = False,
) -> None:
    """One manifest: its totals by corpus, with --json all of it."""
    from flows.commands.render import print_manifest

    settings, store = open_run(config)
    found = manifest.load(store, settings.publish.name, number)
    if as_json:
        typer.echo(json.dumps(_as_value(found), indent=1))
    elif card:
        typer.echo(read_card(store, found), nl=False)
    else:
        print_manifest(found)


@app.command("verify")
def verify_manifest(config: Config, number: Number = None, as_json: AsJson = False) -> None:
    """Hash every file that a manifest names; exit status 1 when one is not what it was."""
    settings, store = open_run(config)
    found = manifest.load(store, settings.publish.name, number)
    files = manifest.all_files(found.content.entries)
    wrong: list[Checked] = []
    with nullcontext() if as_json else screen.on_screen():
        bar = progress().bar("verify", len(files), "files")
        for one in manifest.verify(store, found):
            bar.advance()
            if one.wrong is not None:
                wrong.append(one)
    mending = {one.file.path: _mending(config, found, one) for one in wrong}
    if as_json:
        value = {
            **{key: _as_value(found)[key] for key in ("name", "number", "digest")},
            "files": len(files),
            "bytes": sum(file.size_bytes for file in files),
            "wrong": [
                {
                    "path": one.file.path,
                    "stage": one.stage,
                    "shard": str(one.key),
                    "problem": one.wrong,
                    "again": mending[one.file.path],
                }
                for one in wrong
            ],
        }
        typer.echo(json.dumps(value, indent=1))
    for one in () if as_json else wrong:
        screen.complain(str(one.wrong))
        screen.complain(f"  again: {mending[one.file.path]}")
    if wrong:
        raise typer.Exit(_FAILED)
    if not as_json:
        screen.OUT.print(f"{found.name} {found.number}: all {len(files)} files are what they were")


def _mending(config: Path, found: Manifest, wrong: Checked) -> str:
    """The command that makes a file again, where CONFIG is of the settings that made it."""
    command = f"distillery rerun {config} {wrong.stage} {wrong.key}"
    settings, store = open_run(config)
    made_by = found.content.fingerprints.get(wrong.stage, {}).get(wrong.key.corpus)
    if wrong.key.corpus in settings.corpora:
        state = CorpusState(settings, store, wrong.key.corpus)
        if state.fingerprints[wrong.stage] == made_by:
            return command
    return f"{command}, with the configuration that published {found.number}: this one has changed"


@app.command("diff")
def diff_manifests(
    config: Config,
    before: Annotated[int, typer.Argument(help="The number of one manifest.")],
    after: Annotated[int, typer.Argument(help="The number of the other.")],
    as_json: AsJson = False,
) -> None:
    """Which hours and rows came or went from one manifest to another, and why."""
    from flows.commands.render import print_difference

    settings, store = open_run(config)
    one, other = (manifest.load(store, settings.publish.name, n) for n in (before, after))
    found = difference(one, other)
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        print_difference(found)


@app.command("export")
def export_manifest(
    config: Config,
    words: Annotated[
        list[str],
        typer.Argument(metavar="[NUMBER] DEST", help="The newest or that number; a folder or URL."),
    ],
    to: Annotated[
        Literal["hf", "nemo"],
        typer.Option("--to", help="A data set of Hugging Face, or audio and a NeMo manifest."),
    ],
) -> None:
    """Write what a manifest holds for another library; goes on where it was stopped."""
    settings, store = open_run(config)
    number, folder = _number_and_folder(words)
    found = manifest.load(store, settings.publish.name, number)
    dest = Store(folder, settings.runtime.scratch)
    dest.check()
    from tasks.export.parts import export

    with screen.on_screen():
        bar = progress().bar(f"export to {to}", found.content.num_windows, "windows")
        export(found, store, dest, _format(to), bar.advance, settings.runtime.workers)
    screen.OUT.print(f"{found.name} {found.number} is in {folder}", markup=False, soft_wrap=True)
    if closed := [name for name, terms in found.licences.items() if not terms.redistribution]:
        names = ", ".join(closed)
        screen.OUT.print(f"not to be passed on, by their terms: {names}", markup=False)


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


def _as_value(found: Manifest) -> dict[str, Any]:
    return {"name": found.name, **found.model_dump(mode="json")}

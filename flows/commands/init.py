"""`distillery init`: write a first configuration for speech of one's own."""

from pathlib import Path
from typing import Annotated

import typer

from configs.load import load_config
from flows.commands.terminal.render import say
from storage.errors import UserError


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of audio, a table (JSON Lines or Parquet), or a Hub data set owner/name."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default NAME.yaml, here.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the corpus is called; by default as the source.")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="A folder with a Whisper, or a Hub model owner/name[@commit];"
            " by default openai/whisper-large-v2."
        ),
    ] = None,
    language: Annotated[str, typer.Option(help="The language of the speech.")] = "en",
    revision: Annotated[
        str, typer.Option(help="Of a Hub data set: the branch or commit to read.")
    ] = "main",
) -> None:
    """Write a commented configuration for a folder, a table or a Hub data set."""
    from flows.init.configuration import can_be_trained_on, configuration
    from flows.init.folder import inspect_path, name_of
    from flows.init.held_out import hold_out
    from flows.init.hub import inspect_hub
    from flows.init.teacher import choose_teacher

    chosen = choose_teacher(teacher)
    called = None if name is None else name_of(name)
    path = Path(source).expanduser()
    is_hub = not path.exists() and source.count("/") == 1 and not source.startswith(("/", "."))
    found = inspect_hub(source, revision, called) if is_hub else inspect_path(path, called)
    file = out or Path(f"{found.name}.yaml")
    text = configuration(found, chosen, language)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UserError(f"{file} exists and is not overwritten; give another --out") from error
    load_config(file)
    parts = hold_out(found)
    say(f"{file}: {found.total_hours:.2f} h of {found.title}")
    for split, settings in parts.splits.items():
        share = "" if settings.percent is None else f", {settings.percent:g} % held out here"
        hours = f"{parts.hours[split]:.2f} h, {settings.role}{share}"
        say(f"  {split}: {hours}")
    for remark in found.remarks:
        say(f"  {remark}")
    until = "" if can_be_trained_on(found, parts) else " --until publish"
    for next_command, why in (
        (f"doctor {file}", "what is missing for a run"),
        (f"run {file} --plan", "what a run would do and cost"),
        (f"run {file}{until}", "do it"),
    ):
        say(f"distillery {next_command}  # {why}")

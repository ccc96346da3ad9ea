"""The command `student` with its subcommands: export, push."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from flows.commands.options import Config, open_run
from flows.commands.terminal.failures import FAILED
from flows.commands.terminal.render import say
from flows.commands.terminal.screen import complain
from flows.student import (
    CurrentStudent,
    current_student,
    speech_to_compare_on,
    student_facts,
)
from storage.errors import UserError
from tasks.ship.card import render_model_card
from tasks.ship.facts import Comparison, Format, window_samples
from tasks.ship.folder import copy_student, new_folder

app = typer.Typer(help="The trained student.", no_args_is_help=True)

_CARD = "README.md"
_NUM_WINDOWS = 16

AsFormat = Annotated[
    Format,
    typer.Option("--format", help="For transformers, CTranslate2 or ONNX Runtime."),
]
Python = Annotated[
    str | None,
    typer.Option(
        help="An interpreter with the libraries that --format needs; this one by default."
    ),
]
Windows = Annotated[
    int | None,
    typer.Option(
        min=1, help="Windows of held-out speech on which another format is compared; 16 by default."
    ),
]


@app.command("export")
def export_student(
    config: Config,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    format: AsFormat = "hf",
    python: Python = None,
    windows: Windows = None,
) -> None:
    """Write the current student with its model card; exit status 1 if its text is another."""
    _check_options(format, python, windows)
    settings, store = open_run(config)
    student = current_student(settings, store)
    with new_folder(folder) as written:
        comparison = _write(student, written, format, python, windows, ".")
    say(f"the student of {student.manifest.name} {student.manifest.number} is in {folder}")
    _report(comparison)


@app.command("push")
def push_student(
    config: Config,
    repo: Annotated[str, typer.Argument(help="OWNER/NAME on the Hub; made if it is missing.")],
    format: AsFormat = "hf",
    python: Python = None,
    windows: Windows = None,
    public: Annotated[bool, typer.Option("--public", help="For all to see.")] = False,
) -> None:
    """Upload the current student with its model card, with the token in HF_TOKEN.

    A student in another format whose text is another is not uploaded.
    """
    from tasks.ship.hub import push_folder, require_token

    require_token()
    _check_options(format, python, windows)
    settings, store = open_run(config)
    student = current_student(settings, store)
    with TemporaryDirectory(dir=store.scratch_folder()) as temporary:
        folder = Path(temporary)
        _report(_write(student, folder, format, python, windows, repo))
        name = f"{student.manifest.name} {student.manifest.number}"
        url = push_folder(folder, repo, private=not public, message=f"The student of {name}")
    say(f"the student of {name} is at {url}")


def _check_options(format: Format, python: str | None, windows: int | None) -> None:
    if format == "hf" and python is not None:
        raise UserError(
            "--python names the interpreter of a converter; add --format, or leave it out"
        )
    if format == "hf" and windows is not None:
        raise UserError(
            "--windows counts those on which another format is compared; add --format, or leave it"
            " out"
        )


def _write(
    student: CurrentStudent,
    folder: Path,
    format: Format,
    python: str | None,
    num_windows: int | None,
    location: str,
) -> Comparison | None:
    """Fill a folder; `location` is where its users find it."""
    if format == "hf":
        copy_student(student.store, student.receipt, folder)
        text = render_model_card(student_facts(student, folder), location=location)
        (folder / _CARD).write_text(text, encoding="utf-8")
        return None
    from tasks.ship.convert import convert
    from tasks.ship.speech import read_windows

    with _original(student) as source:
        speech = read_windows(
            student.store,
            speech_to_compare_on(student),
            num_windows=num_windows or _NUM_WINDOWS,
            max_samples=window_samples(source),
        )
        label = student.config.label
        comparison = convert(source, folder, format, speech, label, python=python)
        facts = student_facts(student, source)
    text = render_model_card(facts, format=format, location=location, comparison=comparison)
    (folder / _CARD).write_text(text, encoding="utf-8")
    return comparison


@contextmanager
def _original(student: CurrentStudent) -> Iterator[Path]:
    """A copy of the student for transformers, for as long as the context lasts."""
    with TemporaryDirectory(dir=student.store.scratch_folder()) as temporary:
        folder = Path(temporary)
        copy_student(student.store, student.receipt, folder)
        yield folder


def _report(comparison: Comparison | None) -> None:
    """Say what the comparison found; exit status 1 unless all texts are the same."""
    if comparison is None:
        return
    if comparison.first_difference is None:
        say(comparison.told)
        return
    complain(comparison.told)
    raise typer.Exit(FAILED)

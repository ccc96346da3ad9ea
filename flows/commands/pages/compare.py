"""The command `compare`: a page on which a browser transcribes with several models."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from configs.evaluate import STUDENT, TEACHER
from flows.commands.options import Config, open_run
from flows.commands.terminal.render import say
from flows.commands.terminal.screen import complain
from flows.compare.assets import fetch_assets, find_assets
from flows.compare.models import (
    Dtype,
    WebModel,
    convert_for_web,
    quantize_for_web,
    web_folder,
)
from flows.compare.recordings import read_recordings
from flows.state.evaluation.measured_models import measured_models
from flows.student import CurrentStudent, current_student, speech_to_compare_on
from storage.errors import UserError
from tasks.evaluate.models import MeasuredModel
from tasks.ship.facts import Comparison, window_samples

_NUM_RECORDINGS: Final = 12
_NUM_WINDOWS: Final = 4


def _fetch(is_asked: bool) -> None:
    if is_asked:
        say(f"the page's library is in {fetch_assets()}")
        raise typer.Exit


def command(
    config: Config,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 0,
    python: Annotated[
        str | None,
        typer.Option(help="An interpreter with Optimum, to convert models that are not yet."),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="The weights that the browser loads.")] = "fp32",
    threads: Annotated[
        int, typer.Option(min=1, help="At most so many for each model in the browser.")
    ] = 8,
    further: Annotated[
        list[str] | None,
        typer.Option("--with", help="A model of evaluate.models beside the two; repeatable."),
    ] = None,
    _: Annotated[
        bool,
        typer.Option(
            "--fetch-assets",
            help="Fetch the page's library with npm, and end.",
            is_eager=True,
            callback=_fetch,
        ),
    ] = False,
) -> None:
    """Serve a page on which teacher and student transcribe the same recording in a browser."""
    from flows.compare.site import comparison_site  # no other command needs a web server
    from flows.pages.server import address, listen, new_token, server

    assets = find_assets()
    student = current_student(*open_run(config))
    chosen = _chosen(student, further or ())
    models = list(_converted(student, chosen, dtype, python))
    recordings = read_recordings(
        student.store,
        speech_to_compare_on(student),
        num_recordings=_NUM_RECORDINGS,
        window_samples=window_samples(models[0].folder),
    )
    name = f"{student.manifest.name} {student.manifest.number}"
    token = new_token()
    title = f"{name}: side by side"
    label = student.config.label
    app = comparison_site(title, models, recordings, assets, label, token, max_threads=threads)
    with listen(port) as listening:
        typer.echo(address(listening, token))
        say("Open this page in a browser on this machine; Ctrl-C ends it.")
        server(app).run(sockets=[listening])


def _chosen(student: CurrentStudent, further: Sequence[str]) -> list[MeasuredModel]:
    """Teacher, student, and the models that were asked for; raises `UserError` for another name."""
    found = {one.name: one for one in measured_models(student.config, student.receipt)}
    for name in further:
        if name not in found:
            known = ", ".join(sorted(found.keys() - {TEACHER, STUDENT})) or "none"
            raise UserError(f"--with {name}: evaluate.models has no such model; it has: {known}")
        if found[name].engine != "whisper":
            raise UserError(f"--with {name}: it is a CTC model, and the page runs Whispers")
    return [found[name] for name in dict.fromkeys((TEACHER, STUDENT, *further))]


def _converted(
    student: CurrentStudent, models: Sequence[MeasuredModel], dtype: Dtype, python: str | None
) -> Iterator[WebModel]:
    """The models as a browser loads them; converts those that are not yet."""
    scratch = student.store.scratch_folder()
    for model in models:
        floats = web_folder(scratch, model.identity, "fp32")
        folder = web_folder(scratch, model.identity, dtype)
        if not folder.exists() and not floats.exists():
            say(f"converting the {model.name} for the browser, once")
            _report(model.name, _convert(student, model, python))
        if not folder.exists():
            quantize_for_web(floats, folder, python=python)
        yield WebModel(name=model.name, folder=folder, dtype=dtype)


def _convert(student: CurrentStudent, model: MeasuredModel, python: str | None) -> Comparison:
    from tasks.evaluate.engine import model_source  # loads transformers
    from tasks.ship.speech import read_windows
    from tasks.whisper.model import model_folder

    store, config = student.store, student.config
    source = model_folder(model_source(config, store, model))
    speech = read_windows(
        store,
        speech_to_compare_on(student),
        num_windows=_NUM_WINDOWS,
        max_samples=window_samples(source),
    )
    target = web_folder(store.scratch_folder(), model.identity, "fp32")
    return convert_for_web(source, target, speech, config.label, python=python)


def _report(name: str, comparison: Comparison) -> None:
    tell = say if comparison.first_difference is None else complain
    tell(f"{name}: {comparison.told}")

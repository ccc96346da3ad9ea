"""The command `explain`: the history of one utterance, or all rows rejected for one reason."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.player import play
from flows.commands.terminal.render import show
from flows.commands.views.explain import history_view, rejections_view
from flows.state.rejections import read_rejections
from flows.state.utterances.audio import read_audio
from flows.state.utterances.history import read_history
from storage.errors import UserError


def command(
    config: Config,
    id: Annotated[
        str | None, typer.Argument(help="Of an utterance or a window; or use --reason.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="List the rows rejected for a reason, such as wer.")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="With --reason: of one corpus.")] = None,
    limit: Annotated[int, typer.Option(help="With --reason: print at most so many rows.")] = 20,
    split: Annotated[
        str | None, typer.Option(help="Where several splits have the id: corpus/split.")
    ] = None,
    wav: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the audio, as a WAV file.")
    ] = None,
    plays: Annotated[
        bool, typer.Option("--play", help="Also play the audio, with a player of this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what each stage did with an utterance; or list the rows rejected for a reason."""
    if (id is None) == (reason is None):
        raise UserError("give the id of an utterance, or --reason with one that `status` counts")
    settings, store = open_run(config)
    if reason is not None:
        if wav is not None or plays:
            raise UserError("--wav and --play take the id of an utterance; leave out --reason")
        rejections = list(read_rejections(settings, store, reason, corpus))
        show(rejections_view(rejections, limit), as_json=as_json)
        return
    history = read_history(settings, store, str(id), split)
    show(history_view(history), as_json=as_json)
    if wav is not None or plays:
        data = _wave(read_audio(settings, store, history))
        if wav is not None:
            _write(wav, data)
        if plays:
            with TemporaryDirectory() as folder:
                file = Path(folder) / "utterance.wav"
                file.write_bytes(data)
                play(file)


def _wave(flac: bytes) -> bytes:
    from tasks.audio import decode, encode_wave

    return encode_wave(decode(flac).samples[:, 0])


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --wav") from error

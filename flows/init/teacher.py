"""The teacher of a new configuration: a folder, or a model of the Hub at a pinned commit."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configs.bundled import installed_path
from configs.schema import Teacher
from flows.state.windows import WHISPER_WINDOW_S, window_s
from storage.errors import TransientError, UserError
from tasks.download.hub import endpoint
from tasks.whisper.identity import model_files

DEFAULT: Final = "openai/whisper-large-v2"

_PINNED: Final = {
    "openai/whisper-base.en": "911407f4214e0e1d82085af863093ec0b66f9cd6",
    "openai/whisper-large-v2": "ae4642769ce2ad8fc292556ccea8e901f1530655",
    "openai/whisper-medium.en": "2e98eb6279edf5095af0c8dedb36bdec0acd172b",
}
"""Commits of the checked-in configurations, so that the default needs no network."""

_SIZE: Final = re.compile(r"^openai/whisper-(?P<size>tiny|base|small|medium|large)(\.en|-v[23])?$")
_DECODER_LAYERS: Final = {"tiny": 4, "base": 6, "small": 12, "medium": 24, "large": 32}
"""Table 1 of the Whisper paper (arXiv 2212.04356)."""

_HUB: Final = re.compile(r"^(?P<hub>[\w.-]+/[\w.-]+?)(@(?P<revision>[0-9a-f]{40}))?$")


@dataclass(frozen=True)
class TeacherChoice:
    """A teacher, and the longest audio in seconds that it takes at once.

    `num_decoder_layers` is None where its name does not tell and it is not on this machine.
    """

    settings: Teacher
    window_s: float = WHISPER_WINDOW_S
    num_decoder_layers: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it has Whisper's own window, so that utterances are packed and timed."""
        return self.window_s == WHISPER_WINDOW_S


def choose_teacher(wanted: str | None) -> TeacherChoice:
    """The teacher that `--teacher` names: a folder, `owner/name` or `owner/name@commit`.

    Without a commit the Hub is asked for that of the day. Raises `UserError` for a folder without
    a model and for a model that the Hub does not have, `TransientError` if it does not answer.
    """
    named = wanted or DEFAULT
    folder = installed_path(named)
    if folder.is_dir():
        model_files(folder)
        path = named if folder.absolute() != Path(named).absolute() else str(folder.absolute())
        return TeacherChoice(Teacher(path=path), window_s(folder), _num_layers(folder))
    match = _HUB.match(named)
    if match is None:
        raise UserError(
            f"no teacher {named!r}: expected a folder with a Whisper in Hugging Face format, or a"
            f" model of the Hub such as {DEFAULT}"
        )
    revision = match["revision"] or _PINNED.get(match["hub"]) or _newest(match["hub"])
    size = _SIZE.match(match["hub"])
    layers = _DECODER_LAYERS.get(size["size"]) if size else None
    source = Teacher(hub=match["hub"], revision=revision)
    return TeacherChoice(source, num_decoder_layers=layers)


def _num_layers(folder: Path) -> int | None:
    described: Any = json.loads((folder / "config.json").read_bytes())
    return described.get("decoder_layers") if isinstance(described, dict) else None


def _newest(hub: str) -> str:
    import httpx
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        found = HfApi(endpoint=endpoint()).model_info(hub).sha
    except HfHubHTTPError as error:
        raise UserError(
            f"the Hub has no model {hub} that you may read; check the name, or give a folder"
        ) from error
    except (httpx.HTTPError, httpx2.HTTPError, OSError) as error:
        raise TransientError(
            f"the Hub cannot be asked for the newest commit of {hub} ({type(error).__name__});"
            f" give one as {hub}@COMMIT, or a folder"
        ) from error
    if found is None:
        raise UserError(f"the Hub names no commit of {hub}; give one as {hub}@COMMIT")
    return found

"""Selects and loads the engine that the configuration names, once per process."""

import functools
from typing import Final

from configs.schema import Label, Runtime
from storage.errors import UserError
from tasks.whisper.engine import Engine
from tasks.whisper.model import LoadedWhisper, load_whisper
from tasks.whisper.whisper import WhisperEngine

_MAX_ENGINES: Final = 2  # a teacher and a student


def load_engine(settings: Label, runtime: Runtime) -> Engine:
    """Load the engine that `settings.engine` names for its teacher, on the device of `runtime`.

    Raises as `load_whisper`, and `UserError` if CTranslate2 is required but not installed.
    """
    if settings.engine == "ctc":
        from tasks.whisper.ctc import load_ctc

        return load_ctc(settings, runtime.device)
    teacher = load_whisper(settings.teacher, settings.dtype, runtime.device)
    draft = None
    if runtime.label_draft is not None:
        draft = load_whisper(runtime.label_draft, settings.dtype, runtime.device)
    whisper = whisper_engine(teacher, runtime.label_batch_size, draft)
    if settings.engine == "whisper":
        return whisper
    try:
        from tasks.whisper.ctranslate import load_ctranslate2
    except ModuleNotFoundError as error:
        raise UserError(
            "label.engine is ctranslate2, which is not installed; run pip install"
            " ctranslate2, or set label.engine to whisper"
        ) from error
    return load_ctranslate2(settings, runtime.device, whisper, runtime.label_batch_size)


def require_whisper(settings: Label) -> None:
    """Raise `UserError` for a teacher from which no student can be distilled."""
    if settings.engine == "ctc":
        raise UserError(
            "label.engine is ctc, but a student is initialised from a Whisper and trained on its"
            " tokens; run until publish, or use a Whisper as the teacher"
        )


@functools.lru_cache(maxsize=_MAX_ENGINES)
def whisper_engine(
    model: LoadedWhisper, batch_size: int, draft: LoadedWhisper | None = None
) -> WhisperEngine:
    """The engine over a Whisper, cached so that shards share its buffers and CUDA graphs."""
    return WhisperEngine(model, batch_size, draft)

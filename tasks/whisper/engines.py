"""Which engine hears, by the configuration; each is made once a process."""

import functools
from typing import Final

from configs.schema import Label, Runtime
from storage.errors import UserError
from tasks.whisper.engine import Engine
from tasks.whisper.teacher import Transcriber, load_teacher
from tasks.whisper.whisper import WhisperEngine

_NUM_KEPT: Final = 2  # a teacher and a student


def load_engine(settings: Label, runtime: Runtime) -> Engine:
    """The engine that `settings.engine` names, over the teacher, on the device of `runtime`.

    Raises as `load_teacher`, and `UserError` where CTranslate2 is asked for and not installed.
    """
    if settings.engine == "ctc":
        from tasks.whisper.ctc import load_ctc

        return load_ctc(settings, runtime.device)
    teacher = load_teacher(settings.teacher, settings.dtype, runtime.device)
    draft = None
    if runtime.label_draft is not None:
        draft = load_teacher(runtime.label_draft, settings.dtype, runtime.device)
    whisper = whisper_engine(teacher, runtime.label_batch_size, draft)
    if settings.engine == "whisper":
        return whisper
    try:
        from tasks.whisper.ctranslate import load_ctranslate2
    except ModuleNotFoundError as error:
        raise UserError(
            "label.engine is ctranslate2, which is not installed; run pip install"
            " '.[ctranslate2]' in the checkout, or set label.engine to whisper"
        ) from error
    return load_ctranslate2(settings, runtime.device, whisper, runtime.label_batch_size)


def refuse_other_than_whisper(settings: Label) -> None:
    """Raise `UserError` for a teacher from which no student can be made and measured."""
    if settings.engine == "ctc":
        raise UserError(
            "label.engine is ctc, and a student is made from a Whisper and learns its tokens;"
            " run until publish, or take a Whisper as the teacher"
        )


@functools.lru_cache(maxsize=_NUM_KEPT)
def whisper_engine(
    transcriber: Transcriber, batch_size: int, draft: Transcriber | None = None
) -> WhisperEngine:
    """The engine over a Whisper, kept from shard to shard with what it has made ready."""
    return WhisperEngine(transcriber, batch_size, draft)

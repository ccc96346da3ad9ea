"""Which engine hears, by the configuration; each is made once a process."""

import functools

from configs.schema import Label, Runtime
from storage.errors import UserError
from tasks.label.engine import Engine
from tasks.label.teacher import Transcriber, load_teacher
from tasks.label.whisper import WhisperEngine


def load_engine(settings: Label, runtime: Runtime) -> Engine:
    """The engine that `settings.engine` names, over the teacher, on the device of `runtime`.

    Raises as `load_teacher`, and `UserError` where CTranslate2 is asked for and not installed.
    """
    if settings.engine == "ctc":
        from tasks.label.ctc import load_ctc

        return load_ctc(settings, runtime.device)
    whisper = _whisper(
        load_teacher(settings.teacher, settings.dtype, runtime.device), runtime.label_batch_size
    )
    if settings.engine == "whisper":
        return whisper
    try:
        from tasks.label.ctranslate import load_ctranslate2
    except ModuleNotFoundError as error:
        raise UserError(
            "label.engine is ctranslate2, which is not installed; install the extra"
            " distillery[ctranslate2], or set label.engine to whisper"
        ) from error
    return load_ctranslate2(settings, runtime.device, whisper, runtime.label_batch_size)


def refuse_other_than_whisper(settings: Label) -> None:
    """Raise `UserError` for a teacher from which no student can be made and measured."""
    if settings.engine == "ctc":
        raise UserError(
            "label.engine is ctc, and a student is made from a Whisper and learns its tokens;"
            " run until publish, or take a Whisper as the teacher"
        )


@functools.lru_cache(maxsize=1)
def _whisper(transcriber: Transcriber, batch_size: int) -> WhisperEngine:
    """Kept from shard to shard, with what it has made ready on the device."""
    return WhisperEngine(transcriber, batch_size)

"""The models of `benchmarks.label`: a teacher at one precision or several, and its drafts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from transformers import WhisperForConditionalGeneration

from configs.schema import Teacher
from tasks.distil.student import make_student
from tasks.whisper.device import Device
from tasks.whisper.model import Dtype, LoadedWhisper, load_whisper, silent_transformers

DEMO: Final = "tasks/demo/teacher"
DRAFT_LAYERS: Final = 2


@dataclass(frozen=True)
class Models:
    """Teachers and drafts by precision; `folder` is where the teacher is from, if anywhere.

    `agreement` is the fraction of tokens on which they agree, None if it is not known.
    """

    teachers: dict[Dtype, LoadedWhisper]
    drafts: dict[Dtype, LoadedWhisper]
    folder: str | None = None
    agreement: float | None = None

    @property
    def teacher(self) -> LoadedWhisper:
        """The teacher at the precision with which the others are compared."""
        return next(iter(self.teachers.values()))

    def saved(self, target: Path) -> str:
        """A folder with the teacher in Hugging Face format: its own, or `target`."""
        if self.folder is not None:
            return self.folder
        with silent_transformers():
            self.teacher.model.save_pretrained(target)
            self.teacher.tokenizer.save_pretrained(target)
            self.teacher.feature_extractor.save_pretrained(target)
        return str(target)


def folder_models(
    folder: str, dtypes: Sequence[Dtype], device: Device, draft: str | None
) -> Models:
    """A teacher in Hugging Face format, and its draft if there is one.

    The demo teacher has an untrained student as its draft unless a folder is given.
    """
    teachers = {dtype: load_whisper(Teacher(path=folder), dtype, device) for dtype in dtypes}
    drafts: dict[Dtype, LoadedWhisper] = {}
    for dtype, teacher in teachers.items():
        if draft is not None:
            drafts[dtype] = load_whisper(Teacher(path=draft), dtype, device)
        elif folder == DEMO:
            drafts[dtype] = with_model(teacher, make_student(teacher.model, DRAFT_LAYERS))
    return Models(teachers, drafts, folder)


def with_model(teacher: LoadedWhisper, model: WhisperForConditionalGeneration) -> LoadedWhisper:
    """Another model with the tokenizer and features of `teacher`."""
    model.requires_grad_(False)
    return LoadedWhisper(
        model=model, feature_extractor=teacher.feature_extractor, tokenizer=teacher.tokenizer
    )

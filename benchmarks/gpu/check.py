"""What a check gets and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from configs.schema import Teacher
from tasks.whisper.model import Dtype, LoadedWhisper, load_whisper

DEMO = "tasks/demo/teacher"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The device to check, a teacher's folder, and a folder of audio (None: synthetic speech)."""

    device: torch.device
    teacher: str = DEMO
    audio: Path | None = None
    num_windows: int = 128

    def load(self, dtype: Dtype) -> LoadedWhisper:
        """The teacher on the device."""
        where: Literal["cuda", "cpu"] = "cuda" if self.device.type == "cuda" else "cpu"
        return load_whisper(Teacher(path=self.teacher), dtype, where)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`passed` is None if the check does not apply; `detail` is one line for a human."""

    passed: bool | None
    detail: str
    figures: dict[str, float] = field(default_factory=dict)


Check = Callable[[Setup], Outcome]

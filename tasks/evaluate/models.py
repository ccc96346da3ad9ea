"""The models that an evaluation measures."""

from dataclasses import dataclass
from typing import Literal

from configs.evaluate import STUDENT, TEACHER
from configs.schema import Teacher
from storage.receipt import Receipt


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredModel:
    """A model by its name in results, and the digest or commit that says which weights it has.

    It is either a `source`, a folder or a model of the Hub, or a `student` by its receipt: one of
    another run if `root` is given.
    """

    name: str
    identity: str
    engine: Literal["whisper", "ctc"] = "whisper"
    source: Teacher | None = None
    student: Receipt | None = None
    root: str | None = None

    @property
    def has_teachers_encoder(self) -> bool:
        """Whether its encoder may be that of the teacher."""
        return self.name == TEACHER or self.student is not None


def student_model(
    receipt: Receipt, *, name: str = STUDENT, root: str | None = None
) -> MeasuredModel:
    """The student of a receipt, in the store of the run or in that of another one."""
    return MeasuredModel(name=name, identity=receipt.output.sha256, student=receipt, root=root)

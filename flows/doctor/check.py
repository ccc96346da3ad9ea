"""What a check found, and what to do next."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from storage.errors import DistilleryError

State = Literal["ok", "warning", "problem"]


class Check(BaseModel):
    """One thing that was looked at; `next_step` is empty where nothing is to be done."""

    model_config = ConfigDict(frozen=True)

    subject: str
    state: State
    found: str
    next_step: str = ""


def problem(subject: str, error: Exception) -> Check:
    """A check that an error ended, its message parted where the next step begins."""
    text = " ".join(str(error).split()) or type(error).__name__
    found, _, next_step = text.partition("; ")
    return Check(subject=subject, state="problem", found=found, next_step=next_step)


def guarded(subject: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """What `look` finds; an error of the user, the network or the disk ends it as a problem."""
    try:
        yield from look()
    except (DistilleryError, OSError) as error:
        yield problem(subject, error)

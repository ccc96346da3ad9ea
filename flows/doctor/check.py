"""The result of a check, and what to do next."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from storage.errors import DistilleryError

State = Literal["ok", "warning", "problem"]


class Check(BaseModel):
    """The result of one check; `next_step` is empty if there is nothing to do."""

    model_config = ConfigDict(frozen=True)

    subject: str
    state: State
    found: str
    next_step: str = ""


def problem(subject: str, error: Exception) -> Check:
    """The result of a check that raised an error. In its message, `; ` begins the next step."""
    text = " ".join(str(error).split()) or type(error).__name__
    found, _, next_step = text.partition("; ")
    return Check(subject=subject, state="problem", found=found, next_step=next_step)


def guarded(subject: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The results of `check`; an error of the user, the network or the disk becomes a problem."""
    try:
        yield from check()
    except (DistilleryError, OSError) as error:
        yield problem(subject, error)

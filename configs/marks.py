"""Marks that listeners give to utterances, and the file that keeps them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import PrivateAttr, ValidationError, model_validator

from configs.settings import Settings

Decided = Literal["exclude", "keep"]


class Mark(Settings):
    """A line of a file of marks."""

    id: str
    """Id of an utterance, or of a window."""
    mark: Decided
    """What a listener decided."""
    corpus: str | None = None
    """The corpus that the id is in; null: any."""


@dataclass(frozen=True, slots=True)
class MarkedIds:
    """The marked ids of one corpus, each in one of the tuples, sorted."""

    exclude: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.exclude) + len(self.keep)

    def mark(self, *ids: str | None) -> Decided | None:
        """The mark of an utterance and its window, by their `ids`; `exclude` if one is excluded."""
        if set(ids).intersection(self.exclude):
            return "exclude"
        return "keep" if set(ids).intersection(self.keep) else None


UNMARKED: Final = MarkedIds()


class Marks(Settings):
    """Utterances and windows that a listener has decided on, whatever the rules say.

    What the file contains enters fingerprints, and its path does not.
    """

    file: str | None = None
    """JSON Lines with `id`, `mark` and `corpus`, as `distillery browse` writes them.

    It is read with the configuration, from the folder that other paths start from.
    """
    exclude: tuple[str, ...] = ()
    """Further ids to drop."""
    keep: tuple[str, ...] = ()
    """Further ids to keep. The rules `rights`, `takedown`, `contamination`, `max_duration_s`,
    `max_tokens` and `fraction` still apply to them.
    """
    _read: tuple[Mark, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _read_the_file(self) -> Self:
        if both := sorted({*self.exclude} & {*self.keep}):
            raise ValueError(f"{both[0]!r} is in exclude and in keep; remove it from one of them")
        if self.file is not None:
            self._read = read_marks(self.file)
        return self

    def of(self, corpus: str) -> MarkedIds:
        """What is marked in a corpus: the last line of the file on an id, unless a list has it."""
        marks = {one.id: one.mark for one in self._read if one.corpus in (corpus, None)}
        for name in self.exclude:
            marks[name] = "exclude"
        for name in self.keep:
            marks[name] = "keep"
        exclude = sorted(name for name, mark in marks.items() if mark == "exclude")
        return MarkedIds(tuple(exclude), tuple(sorted(marks.keys() - exclude)))


def read_marks(path: str | Path) -> tuple[Mark, ...]:
    """The marks in a file of JSON Lines; raises `ValueError` for a missing file and other lines."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ValueError(
            f"the file of marks {path} is missing; `distillery browse` writes one, and"
            f" `touch {path}` makes one without marks"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the file of marks {path}: {error}") from error
    marks = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            marks.append(Mark.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise ValueError(
                f"line {number} of {path} is no mark ({where or 'line'}: {problem['msg']});"
                ' expected such as {"corpus": "ami", "id": "u1", "mark": "exclude"}'
            ) from error
    return tuple(marks)


def marks_text(marks: Iterable[Mark]) -> str:
    r"""Marks as JSON Lines.

    >>> marks_text([Mark(corpus="ami", id="u1", mark="keep")])
    '{"corpus": "ami", "id": "u1", "mark": "keep"}\n'
    """
    rows = ({"corpus": one.corpus, "id": one.id, "mark": one.mark} for one in marks)
    lines = (
        json.dumps(
            {name: value for name, value in row.items() if value is not None}, ensure_ascii=False
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)

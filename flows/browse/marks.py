"""The files that a listener's marks are written to."""

import os
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final, Self

from configs.marks import Decided, Mark, marks_text, read_marks
from configs.schema import RunConfig
from storage.errors import UserError

DEFAULT: Final = "marks.jsonl"
"""The file where the configuration names none."""

Key = tuple[str, str]
"""A corpus and the id of an utterance or a window in it."""


class MarkFiles:
    """The marks of each corpus, in the file that its filter reads them from.

    Files are read again before each change, so that what others write meanwhile is kept, and
    replaced as a whole.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        """`paths` are the files by corpus; several corpora may share one."""
        self.paths = dict(paths)
        self._lock = Lock()

    @classmethod
    def of(cls, config: RunConfig, other: Path | None = None) -> Self:
        """The files of a configuration, or the `other` file instead."""
        return cls(
            {
                corpus: other or Path(config.filter_of(corpus).marks.file or DEFAULT).expanduser()
                for corpus in config.corpora
            }
        )

    def check(self) -> None:
        """Raise `UserError` if a file is none of marks, or its folder cannot be written to."""
        self.read()
        for path in set(self.paths.values()):
            if not os.access(path.absolute().parent, os.W_OK):
                raise UserError(
                    f"cannot write marks to {path}: its folder is missing or read-only; name"
                    " another file with --marks"
                )

    def read(self) -> dict[Key, Decided]:
        """All marks by corpus and id; raises `UserError` for a file that has other lines."""
        contents = {path: _read(path) for path in set(self.paths.values())}
        return {
            (corpus, one.id): one.mark
            for corpus, path in self.paths.items()
            for one in contents[path]
            if one.corpus in (corpus, None)
        }

    def change(self, marks: Iterable[tuple[Key, Decided | None]]) -> dict[Key, Decided | None]:
        """Set or, with None, remove marks; returns those that were there before.

        Raises what `read` raises, and `OSError` if a file cannot be written.
        """
        wanted = dict(marks)
        with self._lock:
            before = self.read()
            for path in {self.paths[corpus] for corpus, _ in wanted}:
                own = {key: mark for key, mark in wanted.items() if self.paths[key[0]] == path}
                sharing = [corpus for corpus, other in self.paths.items() if other == path]
                _write(path, _changed(_read(path), own, sharing))
        return {key: before.get(key) for key in wanted}


def _changed(
    marks: Iterable[Mark], wanted: Mapping[Key, Decided | None], corpora: Iterable[str]
) -> list[Mark]:
    """The marks with those that are wanted; `corpora` are those that share the file.

    A mark of an id in every corpus becomes one in each corpus for which nothing else is wanted.
    """
    ids = {name for _, name in wanted}
    single = (
        one.model_copy(update={"corpus": corpus})
        for one in marks
        for corpus in (corpora if one.corpus is None and one.id in ids else (one.corpus,))
    )
    kept = [one for one in single if (one.corpus, one.id) not in wanted]
    added = [
        Mark(corpus=corpus, id=name, mark=mark)
        for (corpus, name), mark in wanted.items()
        if mark is not None
    ]
    return [*kept, *added]


def _read(path: Path) -> tuple[Mark, ...]:
    try:
        return read_marks(path) if path.exists() else ()
    except ValueError as error:
        raise UserError(str(error)) from error


def _write(path: Path, marks: Iterable[Mark]) -> None:
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(marks_text(marks))
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)

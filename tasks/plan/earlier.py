"""The ids in earlier parts of the plan of a split, and the files that they were planned from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

import pyarrow.parquet as pq

from storage.receipt import Receipt
from storage.store import Store


@dataclass(frozen=True)
class EarlierParts:
    """Planned ids with their stored files, and rejected ids."""

    planned: Mapping[str, str]
    rejected: frozenset[str]

    @classmethod
    def load(cls, store: Store, parts: Sequence[Receipt]) -> Self:
        """Read all parts of a plan; raises what `Store.fetch` raises."""
        planned: dict[str, str] = {}
        rejected: list[str] = []
        for part in parts:
            with store.fetch(part.output) as path:
                columns = pq.read_table(path, columns=["id", "file"]).to_pydict()
            planned.update(zip(columns["id"], columns["file"], strict=True))
            if part.rejected is not None:
                with store.fetch(part.rejected) as path:
                    rejected += pq.read_table(path, columns=["id"]).column("id").to_pylist()
        return cls(planned, frozenset(rejected))

    @property
    def ids(self) -> frozenset[str]:
        """All ids."""
        return self.rejected.union(self.planned)

    def from_other_versions(self, files: Iterable[str]) -> frozenset[str]:
        """The ids planned from an earlier download of one of these stored files."""
        current = set(files)
        names = {_without_digest(file) for file in current}
        return frozenset(
            row_id
            for row_id, file in self.planned.items()
            if file not in current and _without_digest(file) in names
        )


def _without_digest(file: str) -> tuple[str, ...]:
    """The parts of the path of a stored file that every download of it has.

    >>> _without_digest("raw/own/main/archives/00003.0123abcd.train-00000.parquet")
    ('raw/own/main/archives', '00003', 'train-00000.parquet')
    """
    path = PurePosixPath(file)
    number, _, rest = path.name.partition(".")
    return str(path.parent), number, rest.partition(".")[2]

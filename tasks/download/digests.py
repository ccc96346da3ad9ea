"""What the indexes of downloads state about the bytes of each member."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import IntegrityError
from storage.receipt import FileRef, Receipt
from storage.store import Store
from tasks.download.schema import INDEX

DELIVERED: Final = "mirror:"
"""Path prefix of files that were not copied into the store."""

INDEX_NAME: Final = "index.parquet"


class Expected(NamedTuple):
    """What a member must contain: its SHA-256, and the digests of its blocks if it has any.

    With `stored` its index has no digest of the member, only its receipt one of the stored file.
    """

    sha256: str | None
    blocks: bytes | None
    stored: FileRef | None = None


def index_of(receipt: Receipt) -> FileRef | None:
    """The index of a download: beside the stored file, of a delivery all there is; else None."""
    if receipt.beside:
        return receipt.beside[0]
    is_delivery = receipt.output.path.endswith(f".{INDEX_NAME}")
    return receipt.output if is_delivery else None


def is_delivery(receipt: Receipt) -> bool:
    """Whether a download is that of files that were not copied."""
    return index_of(receipt) == receipt.output


def read_index(store: Store, file: FileRef, columns: Sequence[str] = INDEX.names) -> pa.Table:
    """Columns of an index, null where an old version wrote none; raises what `fetch` raises."""
    with store.fetch(file) as path:
        found = pq.read_table(path)
    missing = [pa.nulls(len(found), INDEX.field(name).type) for name in columns]
    return pa.table(
        {
            name: found.column(name) if name in found.column_names else nulls
            for name, nulls in zip(columns, missing, strict=True)
        }
    )


class Digests:
    """The digests of the members of downloaded files, read from an index when first needed.

    Of several `receipts` of deliveries that name the same file the last one counts.
    """

    def __init__(self, store: Store, receipts: Iterable[Receipt]) -> None:
        self._store = store
        self._deliveries: list[FileRef] = []
        self._archives: dict[str, Receipt] = {}
        for receipt in receipts:
            if receipt.beside:
                self._archives[receipt.output.path] = receipt
            elif is_delivery(receipt):
                self._deliveries.append(receipt.output)
        self._delivered: dict[str, tuple[int, Expected]] | None = None
        self._opened: dict[str, _Members] = {}

    def of(self, file: str, offset: int, size: int) -> Expected:
        """What `size` bytes from `offset` on must be.

        Raises `IntegrityError` unless an index has this member.
        """
        if file.startswith(DELIVERED):
            return self._of_delivery(file, offset, size)
        receipt = self._archives.get(file)
        if receipt is None:
            raise IntegrityError(f"{file} is used by a plan, but no receipt names it", file)
        if file not in self._opened:
            self._opened[file] = _Members(read_index(self._store, receipt.beside[0], _COLUMNS))
        found = self._opened[file].find(offset, size)
        if found is None:
            raise IntegrityError(
                f"the index of {file} has no member of {size} bytes at byte {offset}, which a plan"
                " names",
                file,
            )
        if found.sha256 is not None:
            return found
        if size == receipt.output.size_bytes:
            return Expected(receipt.output.sha256, found.blocks)
        return Expected(None, None, receipt.output)

    def _of_delivery(self, file: str, offset: int, size: int) -> Expected:
        if self._delivered is None:
            self._delivered = {}
            for index in self._deliveries:
                columns = read_index(self._store, index, ("name", "size", "sha256", "blocks"))
                for name, num_bytes, *digests in zip(*columns.to_pydict().values(), strict=True):
                    self._delivered[f"{DELIVERED}{name}"] = num_bytes, Expected(*digests)
        num_bytes, expected = self._delivered.get(file, (-1, Expected(None, None)))
        if (offset, size) != (0, num_bytes):
            raise IntegrityError(
                f"{file.removeprefix(DELIVERED)} with {size} bytes is used by a plan, but no index"
                " of a delivery has it"
            )
        return expected


_COLUMNS: Final = ("offset", "size", "sha256", "blocks")


class _Members:
    """The members of one archive by position, a hundred bytes each."""

    def __init__(self, index: pa.Table) -> None:
        ordered = index.sort_by("offset").combine_chunks()
        self._offsets = ordered.column("offset").to_numpy()
        self._sizes = ordered.column("size").to_numpy()
        self._sha256, self._blocks = ordered.column("sha256"), ordered.column("blocks")

    def find(self, offset: int, size: int) -> Expected | None:
        """What is at a position; several names of it, by links, have the same digest."""
        first, last = (int(np.searchsorted(self._offsets, offset, side)) for side in _SIDES)
        for row in range(first, last):
            if self._sizes[row] == size:
                return Expected(self._sha256[row].as_py(), self._blocks[row].as_py())
        return None


_SIDES: Final = ("left", "right")

"""Read access to downloaded files: members by name, byte ranges, values in Parquet."""

import io
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ShardError, UserError
from storage.receipt import Receipt
from storage.store import Store
from tasks.corpora.base import Member
from tasks.download.schema import INDEX

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_DELIVERED: Final = "mirror:"
"""Path prefix of files that were not copied into the store."""

_BUFFER_BYTES: Final = 1 << 20
_NUM_ROW_GROUPS: Final = 2  # kept decoded: those of the current and the previous value


class AudioPlace(NamedTuple):
    """The location of encoded audio: a byte range, or a value in a Parquet file."""

    file: str
    offset: int
    size: int
    column: str | None = None
    row: int | None = None


class Files:
    """Byte ranges of downloaded files, in the store or in a delivery below `mirror`."""

    def __init__(self, store: Store, mirror: str | None) -> None:
        self._store = store
        self._mirror = None if mirror is None else Store(mirror)
        self._row_group = lru_cache(_NUM_ROW_GROUPS)(self._read_row_group)
        self._opened = lru_cache(_NUM_ROW_GROUPS)(self._open_parquet)

    def read(self, file: str, offset: int, size: int) -> bytes:
        """`size` bytes of a file from `offset` on; raises what `Store.read` raises."""
        store, path = self._at(file)
        return store.read(path, offset, offset + size)

    def open(self, file: str, offset: int, size: int) -> BinaryIO:
        """A seekable file for a byte range; only the bytes that are read are transferred."""
        return io.BufferedReader(_Range(self, file, offset, size), _BUFFER_BYTES)

    def audio(self, place: AudioPlace) -> bytes:
        """The encoded audio at a place; empty if the Parquet value is null.

        Raises `ShardError` if it cannot be read, and what `Store.read` raises.
        """
        if place.column is None or place.row is None:
            return self.read(place.file, place.offset, place.size)
        _, starts = self._opened(place.file, place.offset, place.size)
        group = bisect_right(starts, place.row) - 1
        if not 0 <= place.row < starts[-1]:
            raise ShardError(f"{place.file} has {starts[-1]} rows, no row {place.row}")
        values = self._row_group(place[:3], place.column, group)
        value = values[place.row - starts[group]].as_py()
        found = value["bytes"] if isinstance(value, Mapping) else value
        return found if isinstance(found, bytes) else b""

    def _open_parquet(
        self, file: str, offset: int, size: int
    ) -> tuple[pq.ParquetFile, Sequence[int]]:
        """The file, and the first row of each row group followed by the total number of rows."""
        table = pq.ParquetFile(self.open(file, offset, size), pre_buffer=False)
        sizes = [table.metadata.row_group(n).num_rows for n in range(table.num_row_groups)]
        return table, [0, *accumulate(sizes)]

    def _read_row_group(
        self, file: tuple[str, int, int], column: str, group: int
    ) -> pa.ChunkedArray:
        table, _ = self._opened(*file)
        if column not in table.schema_arrow.names:
            raise ShardError(f"{file[0]} has no column {column!r}")
        try:
            return table.read_row_group(group, columns=[column]).column(column)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise ShardError(f"row group {group} of {file[0]} is damaged: {reason}") from error

    def _at(self, file: str) -> tuple[Store, str]:
        if not file.startswith(_DELIVERED):
            return self._store, file
        if self._mirror is None:
            raise UserError(
                f"{file.removeprefix(_DELIVERED)} is part of a delivery that was not copied;"
                " set the `mirror` of the corpus to its folder"
            )
        return self._mirror, file.removeprefix(_DELIVERED)


class RawFiles:
    """The members of all downloaded files of a corpus; implements `tasks.corpora.base.Raw`."""

    def __init__(self, store: Store, receipts: Sequence[Receipt], mirror: str | None) -> None:
        self._files = Files(store, mirror)
        self._mirror = mirror
        self._members: list[Member] = []
        self.digests: dict[str, str] = {}
        """SHA-256 by path, of each file that contains members."""
        for receipt in receipts:
            is_delivery = not receipt.beside
            if is_delivery and not receipt.output.path.endswith(".parquet"):
                continue  # the listing of a Hub data set
            with store.fetch(receipt.output if is_delivery else receipt.beside[0]) as path:
                table = pq.read_table(path)
            columns = [table.column(name).to_pylist() for name in INDEX.names]
            for name, offset, size, duration_s, sha256 in zip(*columns, strict=True):
                file = f"{_DELIVERED}{name}" if is_delivery else receipt.output.path
                self._members.append(Member(file, name, offset, size, duration_s))
                self.digests[file] = sha256 or receipt.output.sha256
        self._members.sort(key=lambda member: member.name)

    def members(self, suffix: str = "") -> Iterable[Member]:
        """The members of all files whose names end with `suffix`, sorted by name."""
        return (member for member in self._members if member.name.endswith(suffix))

    def read(self, member: Member) -> bytes:
        """The bytes of one member, in one ranged read."""
        return self._files.read(member.file, member.offset, member.size)

    def open(self, member: Member) -> BinaryIO:
        """A member as a seekable file; only the bytes that are read are transferred."""
        return self._files.open(member.file, member.offset, member.size)

    def others(self) -> Iterable[str]:
        """The paths below the mirror that belong to no source, as it is listed now."""
        if self._mirror is None:
            return ()
        known = {member.name for member in self._members}
        return (path for path in Store(self._mirror).list("") if path not in known)

    def audio(self, member: Member) -> bytes:
        """The encoded audio of a segment."""
        place = (member.file, member.offset, member.size, member.column, member.row)
        return self._files.audio(AudioPlace(*place))


class _Range(io.RawIOBase):
    """A byte range of a file as a seekable stream."""

    def __init__(self, files: Files, file: str, offset: int, size: int) -> None:
        self._files, self._file, self._offset, self._size = files, file, offset, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        count = max(0, min(len(view), self._size - self._position))
        if count:
            view[:count] = self._files.read(self._file, self._offset + self._position, count)
            self._position += count
        return count

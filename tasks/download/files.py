"""Read access to downloaded files: members by name, byte ranges, values in Parquet.

Nothing is returned that does not match its digest. A member is checked as a whole, since it is
read as a whole; of a large file that is read in parts, such as Parquet, each block of 1 MiB that is
touched. Indexes written by old versions have no digests of members: there the stored file is
hashed as a whole before the first byte of it is used, once by each process.
"""

import hashlib
import io
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import BinaryIO, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import IntegrityError, ShardError, UserError
from storage.receipt import Receipt
from storage.store import Store
from tasks.corpora.base import Member
from tasks.download.digests import (
    DELIVERED,
    Digests,
    Expected,
    index_of,
    is_delivery,
    read_index,
)
from tasks.download.ranges import CheckedOnce, CheckedRange, Damaged, hash_range
from tasks.download.schema import WHOLE_BYTES

_BUFFER_BYTES: Final = 1 << 20
_NUM_ROW_GROUPS: Final = 2  # kept decoded: those of the current and the previous value
_COLUMNS: Final = ("name", "offset", "size", "duration_s", "sha256")
_CHECKED: Final = CheckedOnce()


class AudioPlace(NamedTuple):
    """The location of encoded audio: a byte range, or a value in a Parquet file."""

    file: str
    offset: int
    size: int
    column: str | None = None
    row: int | None = None


class Files:
    """Members of downloaded files, in the store or in a delivery below `mirror`, verified.

    `receipts` are those of the downloads; the later one counts where two name the same file.
    Methods raise `IntegrityError` with the path of the stored file if it is missing or damaged, or
    if no receipt names it; for a file of a delivery, which is not stored, with an empty path.
    """

    def __init__(self, store: Store, mirror: str | None, receipts: Iterable[Receipt]) -> None:
        self._store = store
        self._mirror = None if mirror is None else Store(mirror)
        self._digests = Digests(store, receipts)
        self._row_group = lru_cache(_NUM_ROW_GROUPS)(self._read_row_group)
        self._opened = lru_cache(_NUM_ROW_GROUPS)(self._open_parquet)

    def read(self, file: str, offset: int, size: int) -> bytes:
        """A member: `size` bytes of a file from `offset` on."""
        expected = self._digests.of(file, offset, size)
        self._check_whole(file, expected)
        data = self._range(file, offset, offset + size)
        if expected.sha256 is not None:
            found = hashlib.sha256(data).hexdigest()
            if found != expected.sha256:
                raise self._damaged(file)(offset, offset + size, found, expected.sha256)
        return data

    def open(self, file: str, offset: int, size: int) -> BinaryIO:
        """A member as a seekable file; only what is read of a large one is transferred.

        One without digests of its blocks is hashed before, once by each process.
        """
        expected = self._digests.of(file, offset, size)
        if expected.blocks is None and size <= WHOLE_BYTES:
            return io.BytesIO(self.read(file, offset, size))
        if expected.blocks is None:
            self._check_whole(file, expected)
            if expected.sha256 is not None:
                self._check_once(file, offset, offset + size, expected.sha256)
        opened = CheckedRange(
            lambda start, end: self._range(file, start, end),
            offset,
            size,
            expected.blocks,
            self._damaged(file),
        )
        return io.BufferedReader(opened, _BUFFER_BYTES)

    def audio(self, place: AudioPlace) -> bytes:
        """The encoded audio at a place; empty if the Parquet value is null.

        Raises `ShardError` if undamaged bytes are no such file.
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

    def _check_whole(self, file: str, expected: Expected) -> None:
        """Hash a stored file whose members have no digests of their own."""
        if expected.stored is not None:
            self._check_once(file, 0, expected.stored.size_bytes, expected.stored.sha256)

    def _check_once(self, file: str, start: int, end: int, expected: str) -> None:
        def check() -> None:
            read = hash_range(lambda *at: self._range(file, *at), start, end)
            if (found := read.hexdigest()) != expected:
                raise self._damaged(file)(start, end, found, expected)

        store, path = self._at(file)
        _CHECKED.check((store.root, path, f"{start}-{end}", expected), check)

    def _range(self, file: str, start: int, end: int) -> bytes:
        store, path = self._at(file)
        try:
            return store.read(path, start, end)
        except FileNotFoundError as error:
            raise self._wrong(file, "is missing although a receipt names it") from error
        except IntegrityError as error:
            raise self._wrong(file, f"ends before byte {end}, expected by its index") from error

    def _damaged(self, file: str) -> Damaged:
        def error(start: int, end: int, found: str, expected: str) -> IntegrityError:
            return self._wrong(
                file, f"is damaged: its bytes {start} to {end} have sha256 {found}, not {expected}"
            )

        return error

    def _wrong(self, file: str, problem: str) -> IntegrityError:
        store, path = self._at(file)
        if store is self._store:
            return IntegrityError(f"{path} {problem}", path)
        return IntegrityError(
            f"{store.root}/{path} {problem}; restore this file of the delivery, or hash it anew:"
            " rerun its download"
        )

    def _at(self, file: str) -> tuple[Store, str]:
        if not file.startswith(DELIVERED):
            return self._store, file
        if self._mirror is None:
            raise UserError(
                f"{file.removeprefix(DELIVERED)} is part of a delivery that was not copied;"
                " set the `mirror` of the corpus to its folder"
            )
        return self._mirror, file.removeprefix(DELIVERED)


class RawFiles:
    """The members of all downloaded files of a corpus; implements `tasks.corpora.base.Raw`.

    Methods raise what those of `Files` raise.
    """

    def __init__(self, store: Store, receipts: Sequence[Receipt], mirror: str | None) -> None:
        self._files = Files(store, mirror, receipts)
        self._mirror = mirror
        self._members: list[Member] = []
        self.digests: dict[str, str] = {}
        """SHA-256 by path, of each file that contains members."""
        for receipt in receipts:
            if (index := index_of(receipt)) is None:
                continue  # the listing of a Hub data set
            columns = read_index(store, index, _COLUMNS).to_pydict().values()
            for name, offset, size, duration_s, sha256 in zip(*columns, strict=True):
                file = f"{DELIVERED}{name}" if is_delivery(receipt) else receipt.output.path
                self._members.append(Member(file, name, offset, size, duration_s))
                self.digests[file] = sha256 if is_delivery(receipt) else receipt.output.sha256
        self._members.sort(key=lambda member: member.name)

    def members(self, suffix: str = "") -> Iterable[Member]:
        """The members of all files whose names end with `suffix`, sorted by name."""
        return (member for member in self._members if member.name.endswith(suffix))

    def read(self, member: Member) -> bytes:
        """The bytes of one member, in one ranged read."""
        return self._files.read(member.file, member.offset, member.size)

    def open(self, member: Member) -> BinaryIO:
        """A member as a seekable file; only what is read of a large one is transferred."""
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

"""The audio of single utterances, read from the shards where it is."""

from collections import OrderedDict
from threading import Lock
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.state.utterances.ranged import ranged
from storage.errors import IntegrityError
from storage.receipt import FileRef
from storage.store import Store

_NUM_GROUPS: Final = 4  # of 16 MiB each
_NUM_FILES: Final = 8
_COLUMNS: Final = ("id", "audio")


class AudioReader:
    """Reads the row group that an utterance is in, and keeps the last few of them in memory.

    Of a shard only its footer and that row group are read, so nothing checks its digest.
    """

    def __init__(self, store: Store, files: dict[str, FileRef]) -> None:
        """`files` are the normalised shards by path."""
        self._store, self._refs = store, files
        self._open: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._groups: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()
        self._lock = Lock()

    def read(self, path: str, row_group: int, id: str) -> bytes:
        """The FLAC file of an utterance; raises `IntegrityError` where the shard has none."""
        with self._lock:
            try:
                table = self._group(path, row_group)
            except (FileNotFoundError, pa.ArrowInvalid) as error:
                raise IntegrityError(
                    f"{path} is missing or damaged ({error}); run `distillery manifest verify`",
                    path,
                ) from error
        place = pc.index(table["id"], id).as_py()
        if place < 0:
            raise IntegrityError(f"{path} has no {id!r} in row group {row_group}", path)
        return bytes(table["audio"][place].as_py()["bytes"])

    def _group(self, path: str, number: int) -> pa.Table:
        key = (path, number)
        if key not in self._groups:
            self._groups[key] = self._file(path).read_row_group(number, list(_COLUMNS))
            while len(self._groups) > _NUM_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]

    def _file(self, path: str) -> pq.ParquetFile:
        if path not in self._open:
            self._open[path] = ranged(self._store, self._refs[path])
            while len(self._open) > _NUM_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(path)
        return self._open[path]

"""Files that nothing names: left behind by killed writers, or by shards that were reprocessed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from storage import manifest
from storage.receipt import FileRef
from storage.receipts import read_receipts
from storage.store import Store
from tasks.stages import STAGE_NAMES

_RECORDS = (".receipt.json", ".failure.json", ".summary.json")
_DOWNLOADS = "raw"
_FOLDERS = (_DOWNLOADS, *STAGE_NAMES)


@dataclass(frozen=True)
class Garbage:
    """A file that can be deleted. The size of an unfinished file counts as 0."""

    path: str
    size_bytes: int


def find_garbage(store: Store, grace_hours: float) -> Iterator[Garbage]:
    """The unfinished files, and the files that no receipt and no manifest names.

    Files younger than the grace time are kept, because a writer that is still at work commits its
    receipt last. Files of any manifest, and the checkpoints of a training in progress, are kept.
    """
    newest_deleted = time.time() - grace_hours * 3600
    for path, written_at in store.unfinished().items():
        if written_at < newest_deleted:
            yield Garbage(path, 0)
    named = {file.path for file in _named_by_manifests(store)}
    for folder in _FOLDERS:
        listing = store.list(folder)
        for receipt in read_receipts(store, listing).values():
            files = (receipt.output, receipt.rejected, *receipt.beside)
            named.update(file.path for file in files if file is not None)
        for path, entry in listing.items():
            is_record = path.endswith(_RECORDS) or "/checkpoints/" in path
            if path not in named and not is_record and entry.written_at < newest_deleted:
                yield Garbage(path, entry.size_bytes)


def _named_by_manifests(store: Store) -> Iterator[FileRef]:
    for name in manifest.names(store):
        for number in manifest.numbers(store, name):
            yield from manifest.all_files(manifest.load(store, name, number).content.entries)

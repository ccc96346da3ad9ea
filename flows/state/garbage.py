"""Files that nothing names: left behind by writers that were killed, or by shards made again."""

import time
from collections.abc import Iterator

from configs.schema import RunConfig
from flows.commands.screen import OUT
from storage import manifest
from storage.receipt import FileRef
from storage.receipts import read_receipts
from storage.store import Store

_RECORDS = (".receipt.json", ".failure.json", ".summary.json")
_FOLDERS = ("raw", "plan", "normalise", "label", "score", "index", "filter", "evaluate", "distil")


def garbage(store: Store, grace_hours: float) -> Iterator[tuple[str, int]]:
    """Paths and sizes of what may go: partial files, and files that no receipt or manifest names.

    Younger files than the grace time stay, for a writer that is still at work commits its receipt
    last; so does whatever any manifest names, and the checkpoints of a training under way.
    """
    oldest_kept = time.time() - grace_hours * 3600
    for path, written_at in store.unfinished().items():
        if written_at < oldest_kept:
            yield path, 0
    named = {file.path for file in _named_by_manifests(store)}
    for folder in _FOLDERS:
        listing = store.list(folder)
        for receipt in read_receipts(store, listing).values():
            files = (receipt.output, receipt.rejected, *receipt.beside)
            named.update(file.path for file in files if file is not None)
        for path, entry in listing.items():
            is_record = path.endswith(_RECORDS) or "/checkpoints/" in path
            if path not in named and not is_record and entry.written_at < oldest_kept:
                yield path, entry.size_bytes


def _named_by_manifests(store: Store) -> Iterator[FileRef]:
    for name in manifest.names(store):
        for number in manifest.numbers(store, name):
            yield from manifest.all_files(manifest.load(store, name, number).content.entries)


def collect(settings: RunConfig, store: Store, grace_hours: float, *, delete: bool) -> None:
    """List what may go, and remove it if asked to."""
    num_files = num_bytes = 0
    for path, size_bytes in garbage(store, grace_hours):
        OUT.print(path, markup=False, highlight=False)
        num_files, num_bytes = num_files + 1, num_bytes + size_bytes
        if delete:
            store.delete(path)
    verb = "removed" if delete else "may go; --delete removes them"
    OUT.print(f"{num_files} files, {num_bytes / 1e6:.1f} MB {verb}", markup=False)

"""What is done about a damaged file: it no longer counts as made, so that it is made again.

Only records are deleted; a damaged table or archive is overwritten when it is made again, or left
to `gc`. Nothing that takes long happens here: the next run makes what has no receipt.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar, cast

from configs.schema import RunConfig
from flows.state.publication import restore_card, restore_manifest
from flows.state.repair import Kind, Producer, is_stored, producer_of
from storage.errors import IntegrityError
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.evaluate.statistics.totals import restore_totals
from tasks.plan.stage import PLAN

T = TypeVar("T")

_RECEIPT: Final = ".receipt.json"
_REPAIRED: Final[ContextVar[list[str] | None]] = ContextVar("repaired", default=None)


@contextmanager
def recorded_repairs() -> Iterator[list[str]]:
    """The damaged files that runs inside have met and mended, by path."""
    found: list[str] = []
    token = _REPAIRED.set(found)
    try:
        yield found
    finally:
        _REPAIRED.reset(token)


class Repairs:
    """Mends the damaged files that a run meets, each of them once, so that it never loops."""

    def __init__(self, config: RunConfig, store: Store) -> None:
        self._config, self._store = config, store
        self._met: set[str] = set()

    def mend(self, paths: Iterable[str]) -> list[str]:
        """The paths that are mended now; those met before, and unknown ones, are left out.

        Raises `UserError` for a manifest that must be restored from a backup.
        """
        found = [path for path in dict.fromkeys(paths) if path not in self._met and is_stored(path)]
        for path in found:
            self._met.add(path)
            mend(self._config, self._store, producer_of(path))
            if (recorded := _REPAIRED.get()) is not None:
                recorded.append(path)
        return found

    def reading(self, read: Callable[[], T]) -> T:
        """What `read` returns once each damaged record that it meets is mended."""
        while True:
            try:
                return read()
            except IntegrityError as error:
                if not self.mend([error.path]):
                    raise


def damaged_files(*errors: BaseException | None) -> list[str]:
    """The damaged files that errors are about."""
    paths = (getattr(error, "damaged", "") or getattr(error, "path", "") for error in errors)
    return [path for path in paths if path]


def mend(config: RunConfig, store: Store, damaged: Producer) -> None:
    """Let a damaged file count as not made, or recreate it at once if that takes no work.

    Raises `UserError` for a manifest that cannot be recreated, with what to do instead.
    """
    match damaged.kind:
        case Kind.MANIFEST:
            restore_manifest(config, store, damaged.path, cast("ShardKey", damaged.key))
        case Kind.CARD:
            key = cast("ShardKey", damaged.key)
            restore_card(store, key.split, key.index)
        case Kind.TOTALS:
            restore_totals(store, damaged.path)
        case _:
            for path in list(vouching(config, store, damaged)):
                store.delete(path)


def vouching(config: RunConfig, store: Store, damaged: Producer) -> Iterator[str]:
    """The records that make a damaged file count as made."""
    match damaged.kind:
        case Kind.SHARD:
            yield from _receipts(config, store, damaged)
        case Kind.CHECKPOINT:
            files = store.list(damaged.folder)
            yield from sorted(files, key=lambda path: not path.endswith("/files.json"))
        case Kind.STUDENT:
            yield f"{damaged.folder}/student{_RECEIPT}"
        case _:
            yield damaged.path


def _receipts(config: RunConfig, store: Store, damaged: Producer) -> Iterator[str]:
    """The receipts of the shard that name the file, or the file itself if it is one.

    Parts of a plan after it go too, unless each file of the corpus has its own annotations: with
    one part missing, what the later ones continue is not known.
    """
    key = cast("ShardKey", damaged.key)
    listed = [path for path in store.list(damaged.folder) if path.endswith(_RECEIPT)]
    of_shard = f"{damaged.folder}/{key.index:05d}."
    found = [
        path
        for path in listed
        if path == damaged.path or (path.startswith(of_shard) and _names(store, path, damaged.path))
    ]
    if damaged.stage == PLAN.name and not corpus_of_run(config, key.corpus).self_contained:
        found += [path for path in listed if path > of_shard and path not in found]
    yield from sorted(found, reverse=True)


def _names(store: Store, receipt_path: str, path: str) -> bool:
    try:
        receipt = Receipt.parse(store.read(receipt_path), receipt_path)
    except (IntegrityError, FileNotFoundError):
        return False  # a damaged receipt is met, and mended, by itself
    files = (receipt.output, receipt.rejected, *receipt.beside)
    return any(file is not None and file.path == path for file in files)

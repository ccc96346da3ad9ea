"""What is done in a split: its receipts and failures, from one listing and a summary."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field

from storage.errors import IntegrityError
from storage.fingerprint import digest
from storage.receipt import Receipt, Record
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Entry, Store

_RECEIPT = ".receipt.json"
_FAILURE = ".failure.json"
_SUMMARY = ".summary.json"
_NUM_READERS = 16


class Failure(Record):
    """Why a shard has no receipt."""

    stage: str
    key: ShardKey
    reason: str
    attempt: Annotated[int, Field(ge=1)]
    failed_at: str


class Summarised(Record):
    """A receipt as it was listed: it still is that of `path` while the tag there is the same."""

    path: str
    tag: str
    receipt: Receipt


class Summary(Record):
    """The receipts of a split at the time of one listing."""

    receipts: tuple[Summarised, ...]


@dataclass(frozen=True)
class Split:
    """The receipts of one split of one stage, and the failures of shards that have none."""

    receipts: tuple[Receipt, ...]
    failures: tuple[Failure, ...]

    @classmethod
    def load(cls, store: Store, folder: str) -> Self:
        """Read a split's folder: one listing, the summary, and what has come since it."""
        listing = store.list(folder)
        receipts = tuple(read_receipts(store, listing).values())
        done = {receipt.key for receipt in receipts}
        told = _read_each(store, [path for path in listing if path.endswith(_FAILURE)])
        failures = (Failure.parse(data, path) for path, data in told.items())
        return cls(receipts, tuple(failure for failure in failures if failure.key not in done))

    def of(self, key: ShardKey) -> Sequence[Receipt]:
        """The receipts of a shard, one for each source that it was made from."""
        return self._by_key.get(key, ())

    def find(self, key: ShardKey, source_digest: str) -> Receipt | None:
        """The receipt of `key` made from this very source, or None."""
        for receipt in self.of(key):
            if receipt.source_digest == source_digest:
                return receipt
        return None

    @cached_property
    def _by_key(self) -> Mapping[ShardKey, list[Receipt]]:
        grouped: dict[ShardKey, list[Receipt]] = {}
        for receipt in self.receipts:
            grouped.setdefault(receipt.key, []).append(receipt)
        return grouped


def summarise(store: Store, folder: str) -> None:
    """Write the receipts of a split as one file, so that they can be read at once.

    It holds the tag of each, so that of a summary that others have outrun what has not changed is
    still taken from it, and the rest is read.
    """
    listing = store.list(folder)
    listed = [[path, entry.tag] for path, entry in listing.items() if path.endswith(_RECEIPT)]
    path = f"{folder}/{digest(listed)[:16]}{_SUMMARY}"
    if path in listing:
        return
    receipts = tuple(
        Summarised(path=name, tag=listing[name].tag, receipt=receipt)
        for name, receipt in read_receipts(store, listing).items()
    )
    store.put_if_absent(path, Summary(receipts=receipts).model_dump_json().encode())
    for old in listing:
        if old.endswith(_SUMMARY):
            store.delete(old)


def summarise_all(store: Store, folders: Iterable[str]) -> None:
    """Summarise several splits."""
    for folder in folders:
        summarise(store, folder)


def record_failure(store: Store, place: Place, reason: str, failed_at: str) -> Failure:
    """Say beside where the shard would be why it is not there."""
    path = place.failure_path()
    try:
        attempt = Failure.parse(store.read(path), path).attempt + 1
    except FileNotFoundError:
        attempt = 1
    failure = Failure(
        stage=place.stage, key=place.key, reason=reason, attempt=attempt, failed_at=failed_at
    )
    store.delete(path)
    store.put_if_absent(path, failure.model_dump_json(indent=1).encode())
    return failure


def read_receipts(store: Store, listing: Mapping[str, Entry]) -> dict[str, Receipt]:
    """Path to receipt of all that are listed, in order.

    Those that no summary has as they are now are read themselves, several at once.
    """
    wanted = [path for path in listing if path.endswith(_RECEIPT)]
    found = {
        told.path: told.receipt
        for told in _summarised(store, [path for path in listing if path.endswith(_SUMMARY)])
        if told.path in listing and listing[told.path].tag == told.tag
    }
    told = _read_each(store, [path for path in wanted if path not in found])
    found |= {path: Receipt.parse(data, path) for path, data in told.items()}
    return {path: found[path] for path in wanted if path in found}


def _summarised(store: Store, paths: Sequence[str]) -> Iterator[Summarised]:
    for path, data in _read_each(store, paths).items():
        try:
            yield from Summary.parse(data, path).receipts
        except IntegrityError:
            continue  # as good as none: it is made again from the receipts


def _read_each(store: Store, paths: Sequence[str]) -> Mapping[str, bytes]:
    """The contents of those files that are still there: others may remove them meanwhile."""

    def read(path: str) -> bytes | None:
        try:
            return store.read(path)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_NUM_READERS) as pool:
        found = zip(paths, pool.map(read, paths), strict=True)
        return {path: data for path, data in found if data is not None}

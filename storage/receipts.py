"""What is done in a split: its receipts and failures, from one listing and a summary."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field

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


class Summary(Record):
    """The receipts of a split at the time of one listing."""

    receipts: tuple[Receipt, ...]


@dataclass(frozen=True)
class Split:
    """The receipts of one split of one stage, and the failures of shards that have none."""

    receipts: tuple[Receipt, ...]
    failures: tuple[Failure, ...]

    @classmethod
    def load(cls, store: Store, folder: str) -> Self:
        """Read a split's folder: one listing, then the summary if it is of this very listing."""
        listing = store.list(folder)
        receipts = _read_receipts(store, folder, listing)
        done = {receipt.key for receipt in receipts}
        told = _read_each(store, [path for path in listing if path.endswith(_FAILURE)])
        failures = (Failure.parse(data, path) for path, data in told.items())
        return cls(receipts, tuple(failure for failure in failures if failure.key not in done))

    def find(self, key: ShardKey, source_digest: str) -> Receipt | None:
        """The receipt of `key` made from this very source, or None."""
        for receipt in self._by_key.get(key, ()):
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
    """Write the receipts of a finished split as one file, so that they can be read at once.

    The name says of which listing it is: a receipt that came, went or changed makes it stale, and
    a stale summary is never read.
    """
    listing = store.list(folder)
    path = _summary_path(folder, listing)
    if path in listing:
        return
    receipts = _read_receipts(store, folder, listing)
    store.put_if_absent(path, Summary(receipts=receipts).model_dump_json().encode())
    for old in listing:
        if old.endswith(_SUMMARY):
            store.delete(old)


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


def _summary_path(folder: str, listing: Mapping[str, Entry]) -> str:
    receipts = [[path, entry.tag] for path, entry in listing.items() if path.endswith(_RECEIPT)]
    return f"{folder}/{digest(receipts)[:16]}{_SUMMARY}"


def _read_receipts(store: Store, folder: str, listing: Mapping[str, Entry]) -> tuple[Receipt, ...]:
    summary = _summary_path(folder, listing)
    if summary in listing:
        for data in _read_each(store, [summary]).values():
            return Summary.parse(data, summary).receipts
    told = _read_each(store, [path for path in listing if path.endswith(_RECEIPT)])
    return tuple(Receipt.parse(data, path) for path, data in told.items())


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

"""The receipts and failures of a split, read from one listing and a summary file."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field

from storage.errors import IntegrityError
from storage.fingerprint import digest
from storage.receipt import Receipt
from storage.record import Record
from storage.shard import ShardKey
from storage.stage import Place, stage_of
from storage.store import Store, StoredFile

_RECEIPT = ".receipt.json"
_FAILURE = ".failure.json"
_FAILURE_NAME = re.compile(r"[0-9]{5,}\.failure\.json")
_SUMMARY = ".summary.json"
_NUM_READERS = 16
_ALWAYS = "9999"  # later than every time: of a receipt that does not state when it was written


class Failure(Record):
    """The last failed attempt of a shard."""

    stage: str
    key: ShardKey
    reason: str
    attempt: Annotated[int, Field(ge=1)]
    failed_at: str
    damaged: str = ""  # the path of the damaged file that it failed for

    @classmethod
    def read(cls, data: bytes, path: str) -> Self:
        """The failure stored at `path`; of a damaged record, only that the shard has failed."""
        try:
            return cls.parse(data, path)
        except IntegrityError:
            corpus, _, split, name = path.split("/")[-4:]
            key = ShardKey(corpus, split, int(name.removesuffix(_FAILURE)))
            reason = "unknown: the record of the failure is damaged"
            return cls(stage=stage_of(path), key=key, reason=reason, attempt=1, failed_at="")


class Summarised(Record):
    """A receipt and the tag its file had; valid while the tag is unchanged."""

    path: str
    tag: str
    receipt: Receipt


class Summary(Record):
    """The receipts of a split at the time of one listing."""

    receipts: tuple[Summarised, ...]


@dataclass(frozen=True)
class Split:
    """The receipts of one split of one stage, and the failures after which none was written."""

    receipts: tuple[Receipt, ...]
    failures: tuple[Failure, ...]

    @classmethod
    def load(cls, store: Store, folder: str) -> Self:
        """Read a folder: one listing, the summary, and the receipts written since the summary."""
        listing = store.list(folder)
        receipts = tuple(read_receipts(store, listing).values())
        done_at: dict[ShardKey, str] = {}
        for one in receipts:
            done_at[one.key] = max(one.finished_at or _ALWAYS, done_at.get(one.key, ""))
        contents = _read_each(store, list(filter(_is_failure, listing)))
        failures = (Failure.read(data, path) for path, data in contents.items())
        # a shard that was made of other input before can fail with the present one
        current = (
            one for one in failures if one.key not in done_at or one.failed_at > done_at[one.key]
        )
        return cls(receipts, tuple(current))

    def of(self, key: ShardKey) -> Sequence[Receipt]:
        """The receipts of a shard, one per source digest."""
        return self._by_key.get(key, ())

    def find(self, key: ShardKey, source_digest: str) -> Receipt | None:
        """The receipt of `key` for this source digest, or None."""
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
    """Write the receipts of a split to one file, so that reading them takes one request.

    The file contains the tag of each receipt, so an outdated summary still serves for the receipts
    that have not changed. A damaged one is replaced.
    """
    listing = store.list(folder)
    listed = [[path, entry.tag] for path, entry in listing.items() if path.endswith(_RECEIPT)]
    path = f"{folder}/{digest(listed)[:16]}{_SUMMARY}"
    if path in listing and any(_summarised(store, [path])):
        return
    receipts = tuple(
        Summarised(path=name, tag=listing[name].tag, receipt=receipt)
        for name, receipt in read_receipts(store, listing).items()
    )
    for old in listing:
        if old.endswith(_SUMMARY):
            store.delete(old)
    store.put_if_absent(path, Summary(receipts=receipts).encode())


def summarise_all(store: Store, folders: Iterable[str]) -> None:
    """Summarise several splits."""
    for folder in folders:
        summarise(store, folder)


def record_failure(
    store: Store, place: Place, reason: str, failed_at: str, damaged: str = ""
) -> Failure:
    """Store the reason of a failure at the place of the shard, counting the attempts."""
    path = place.failure_path()
    try:
        attempt = Failure.read(store.read(path), path).attempt + 1
    except FileNotFoundError:
        attempt = 1
    failure = Failure(
        stage=place.stage,
        key=place.key,
        reason=reason,
        attempt=attempt,
        failed_at=failed_at,
        damaged=damaged,
    )
    store.delete(path)
    store.put_if_absent(path, failure.encode())
    return failure


def read_receipts(store: Store, listing: Mapping[str, StoredFile]) -> dict[str, Receipt]:
    """The receipts in a listing, by path, in order of the listing.

    Receipts without a current entry in a summary are read one by one, several in parallel.
    """
    wanted = [path for path in listing if path.endswith(_RECEIPT)]
    found = {
        one.path: one.receipt
        for one in _summarised(store, [path for path in listing if path.endswith(_SUMMARY)])
        if one.path in listing and listing[one.path].tag == one.tag
    }
    contents = _read_each(store, [path for path in wanted if path not in found])
    found |= {path: Receipt.parse(data, path) for path, data in contents.items()}
    return {path: found[path] for path in wanted if path in found}


def _is_failure(path: str) -> bool:
    """Other programs leave files of their own, such as `._00000.failure.json`."""
    return _FAILURE_NAME.fullmatch(path.rpartition("/")[2]) is not None


def _summarised(store: Store, paths: Sequence[str]) -> Iterator[Summarised]:
    for path, data in _read_each(store, paths).items():
        try:
            yield from Summary.parse(data, path).receipts
        except IntegrityError:
            continue  # a damaged summary is ignored and rewritten from the receipts


def _read_each(store: Store, paths: Sequence[str]) -> Mapping[str, bytes]:
    """The contents of the files that still exist; others may delete some in the meantime."""

    def read(path: str) -> bytes | None:
        try:
            return store.read(path)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_NUM_READERS) as pool:
        found = zip(paths, pool.map(read, paths), strict=True)
        return {path: data for path, data in found if data is not None}

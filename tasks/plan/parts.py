"""Which parts of a plan still hold: those made from the bytes that the downloads have now."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from storage.receipt import Receipt
from storage.stage import Place
from storage.store import Store, sha256_hex
from tasks.download.digests import INDEX_NAME, is_delivery
from tasks.download.parts import Downloads


@dataclass(frozen=True)
class PlanParts:
    """The parts of a split's plan that hold, in order.

    Without `is_decided` a download of one of them is missing, and may come back with other bytes.
    """

    parts: tuple[Receipt, ...]
    is_decided: bool = True


def current_parts(
    store: Store, downloads: Downloads, split: str, receipts: Sequence[Receipt]
) -> PlanParts:
    """The parts among `receipts`, all those of the plan of `split`, that hold.

    A part holds if each download that it was made from still has the same digest. Of a delivery the
    files count that it had when it was planned: one that was added or is gone changes nothing, one
    with other bytes does. The listing of a Hub data set does not count, but the files it names. A
    part that does not hold ends the plan: what follows continued its shards. While downloads of the
    split are missing, all parts hold.
    """
    sources = _Sources(store, downloads, split)
    held: list[Receipt] = []
    is_decided = True
    for candidates in _by_number(receipts):
        known = {source for part in held for source in part.sources}
        new = [part for part in candidates if not known.issuperset(part.sources)]
        found = next(filter(sources.are_here, new), None)
        if found is None and new and not sources.is_complete:
            found, is_decided = new[0], False
        if found is None:
            break
        held.append(found)
    return PlanParts(tuple(held), is_decided)


def _by_number(receipts: Sequence[Receipt]) -> Iterator[list[Receipt]]:
    """The receipts of each part that has any, the first one first."""
    by_number: dict[int, list[Receipt]] = {}
    for part in sorted(receipts, key=lambda one: (one.finished_at, one.source_digest)):
        by_number.setdefault(part.key.index, []).append(part)
    return (by_number[number] for number in sorted(by_number))


class _Sources:
    """What the downloads of a split have now, compared with what parts of its plan were made of."""

    def __init__(self, store: Store, downloads: Downloads, split: str) -> None:
        wanted = downloads.of(split)
        here = (*downloads.receipts.values(), *downloads.unused)
        self._store = store
        self._digests = {receipt.output.sha256 for receipt in here}
        self._deliveries = [receipt for receipt in here if is_delivery(receipt)]
        self.is_complete = all(key in downloads.receipts for key in wanted)
        shared = [part for part in wanted.values() if part.file is None]
        self._listing = len(shared) - 1 if shared and shared[-1].is_listing else None
        self._same: dict[str, bool] = {}

    def are_here(self, part: Receipt) -> bool:
        """Whether the part was made from the downloads as they are."""
        return all(self._has(source) for source in self._of(part))

    def _of(self, part: Receipt) -> Iterator[str]:
        return (source for at, source in enumerate(part.sources) if at != self._listing)

    def _has(self, source: str) -> bool:
        if source in self._digests:
            return True
        if source not in self._same:
            deliveries = self._deliveries
            self._same[source] = any(self._continues(one, source) for one in deliveries)
        return self._same[source]

    def _continues(self, delivery: Receipt, source: str) -> bool:
        """Whether an earlier index of a delivery names no file that has other bytes now."""
        place = Place(stage=delivery.stage, fingerprint=delivery.fingerprint, key=delivery.key)
        earlier = self._read(place.file_path(source, INDEX_NAME), source)
        now = self._read(delivery.output.path, delivery.output.sha256)
        if earlier is None or now is None:
            return False
        return all(now.get(name, sha256) == sha256 for name, sha256 in earlier.items())

    def _read(self, path: str, sha256: str) -> dict[str, str] | None:
        """Digest by name from an index; None if there is no such index."""
        try:
            data = self._store.read(path)
        except FileNotFoundError:
            return None
        if sha256_hex(data) != sha256:
            return None
        columns = pq.read_table(io.BytesIO(data), columns=["name", "sha256"]).to_pydict()
        return dict(zip(columns["name"], columns["sha256"], strict=True))

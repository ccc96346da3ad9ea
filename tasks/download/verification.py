"""Whether the raw files that the shards of a manifest were made from are unchanged."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from storage.errors import IntegrityError
from storage.manifest import Manifest
from storage.receipt import FileRef, Receipt
from storage.receipts import Split, read_receipts
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.download.digests import index_of, is_delivery, read_index
from tasks.download.ranges import hash_range

_NUM_HASHERS: Final = 4


@dataclass(frozen=True)
class RawFile:
    """A raw file to check: below the root, or with `mirror` a file of a delivery there.

    With `problem` it cannot be checked, and this is why.
    """

    key: ShardKey
    file: FileRef
    mirror: str | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """The path of the file, of one that is not below the root with its mirror."""
        above = "" if self.mirror is None else f"{self.mirror.rstrip('/')}/"
        return f"{above}{self.file.path}"


def raw_files(
    store: Store, published: Manifest, mirrors: Mapping[str, str | None]
) -> list[RawFile]:
    """The raw files that the shards of a manifest were made from, each once, and their indexes.

    `mirrors` are the folders or URLs of deliveries, by corpus.

    They are found through receipts: from a normalised shard to the part of the plan that it is in,
    and from there to the downloads. Raises `IntegrityError` for a damaged index of a delivery.
    """
    found: dict[str, RawFile] = {}
    for corpus in sorted({entry.corpus for entry in published.content.entries}):
        for one in _of_corpus(store, published, corpus, mirrors.get(corpus)):
            found.setdefault(one.name, one)
    return list(found.values())


def _of_corpus(
    store: Store, published: Manifest, corpus: str, mirror: str | None
) -> Iterator[RawFile]:
    """Those of one corpus, of whatever revision."""
    downloads = read_receipts(store, store.list(f"raw/{corpus}")).values()
    by_digest = {receipt.output.sha256: receipt for receipt in downloads}
    has_listing = any(index_of(receipt) is None for receipt in downloads)
    for part in _plans(store, published, corpus):
        for at, source in enumerate(part.sources):
            if source in by_digest:
                yield from _of_download(store, by_digest[source], mirror)
            elif not (has_listing and at == 0):  # of which only the files that it named count
                problem = f"no receipt names the file with sha256 {source}, which it was made from"
                yield RawFile(part.key, part.output, problem=problem)


def _plans(store: Store, published: Manifest, corpus: str) -> Iterator[Receipt]:
    """The parts of plans that have the shards of a corpus."""
    fingerprints = published.content.fingerprints
    normalised = {
        entry.files["normalise"].path: entry.key
        for entry in published.content.entries
        if entry.corpus == corpus
    }
    for split in sorted({key.split for key in normalised.values()}):

        def receipts(stage: str, split: str = split) -> Sequence[Receipt]:
            key = ShardKey(corpus, split, 0)
            fingerprint = fingerprints[stage][corpus]
            place = Place(stage=stage, fingerprint=fingerprint, key=key)
            return Split.load(store, place.folder).receipts

        planned = {
            receipt.source_digest
            for receipt in receipts("normalise")
            if receipt.output.path in normalised
        }
        for part in receipts("plan"):
            if any(shard.digest in planned for shard in part.planned):
                yield part


def _of_download(store: Store, receipt: Receipt, mirror: str | None) -> Iterator[RawFile]:
    for file in (receipt.output, *receipt.beside):
        yield RawFile(receipt.key, file)
    if not is_delivery(receipt):
        return
    columns = read_index(store, receipt.output, ("name", "size", "sha256")).to_pydict()
    for name, size, sha256 in zip(*columns.values(), strict=True):
        file = FileRef(path=name, sha256=sha256, size_bytes=size)
        problem = "" if mirror else "is part of a delivery, but its corpus has no `mirror` now"
        yield RawFile(receipt.key, file, mirror, problem)


def verify_raw(store: Store, files: Sequence[RawFile]) -> Iterator[tuple[RawFile, str | None]]:
    """Hash each file once; yields it and what is wrong with it, None if nothing is."""
    with ThreadPoolExecutor(_NUM_HASHERS) as pool:
        yield from zip(files, pool.map(partial(_wrong, store), files), strict=True)


def _wrong(store: Store, one: RawFile) -> str | None:
    name, file = one.name, one.file
    if one.problem:
        return f"{name}: {one.problem}"
    if one.mirror is None:
        try:
            with store.fetch(file):
                return None
        except IntegrityError as error:
            return str(error)
    try:
        read = partial(Store(one.mirror).read, file.path)
        found = hash_range(read, 0, file.size_bytes).hexdigest()
    except FileNotFoundError:
        return f"{name} is missing although an index names it"
    except IntegrityError:
        return f"{name} is shorter than the {file.size_bytes} bytes that its index says"
    return None if found == file.sha256 else f"{name} has sha256 {found}, not {file.sha256}"

"""The parts of the download of a corpus: files, the listing of a Hub data set, deliveries."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from configs.schema import CorpusSettings
from storage.errors import DistilleryError, UserError
from storage.fingerprint import digest
from storage.receipt import Receipt
from storage.receipts import Failure, Split
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store, StoredFile
from tasks.corpora.base import Corpus
from tasks.corpora.sources import Archive, Delivery, HubFiles, Source
from tasks.download.fetch import Digest
from tasks.download.hub import HubFile, HubListing, endpoint

STAGE: Final = "download"
ARCHIVES: Final = "archives"
"""Takes the place of the split in the shard keys of downloads."""

LISTING_NAME: Final = "listing.json"
LISTING: Final = TypeAdapter(HubListing)

_PCM_BYTES_PER_HOUR: Final = 32_000 * 3_600
"""At 16 kHz and 16 bit: compressed audio of this size is never shorter than an hour."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One unit of download, receipt and `rerun`; empty `splits` means that all splits need it."""

    key: ShardKey
    name: str
    source: Source
    splits: tuple[str, ...] = ()
    file: HubFile | None = None  # of a Hub data set; None for its listing
    commit: str = ""  # of the listing
    delivery_digest: str = ""  # digest of the current listing of a delivery

    @property
    def is_listing(self) -> bool:
        """Whether it is the listing of a Hub data set, which names further parts."""
        return isinstance(self.source, HubFiles) and self.file is None

    def is_for(self, splits: Collection[str]) -> bool:
        """Whether one of these splits needs this part."""
        return not self.splits or not set(splits).isdisjoint(self.splits)


def file_identity(expected: Digest) -> str:
    """The source digest of a file whose digest is known before it is downloaded."""
    return digest([expected.algorithm, expected.hexadecimal])


def download_place(corpus: Corpus, key: ShardKey) -> Place:
    """The place of a downloaded file; the revision of the corpus serves as fingerprint."""
    return Place(stage=STAGE, fingerprint=corpus.revision, key=key)


def chosen_splits(corpus: Corpus, settings: CorpusSettings) -> tuple[str, ...]:
    """The configured splits, in the order of the corpus; raises `UserError` for unknown ones."""
    if settings.splits is None:
        return tuple(corpus.splits)
    if unknown := set(settings.splits) - set(corpus.splits):
        raise UserError(
            f"corpora.{corpus.name}.splits: no split {min(unknown)!r};"
            f" there are {', '.join(corpus.splits)}"
        )
    return tuple(split for split in corpus.splits if split in settings.splits)


@dataclass(frozen=True)
class Downloads:
    """The parts that the chosen splits of a corpus need, and the receipts of those downloaded.

    The files of a Hub data set are parts only once its listing is downloaded. A delivery that has
    changed counts as missing, and is `relisted`: it may be the same, copied to another place. So
    does a file that the listing names with another digest. `unused` are receipts of what is not a
    part with the present settings.
    """

    parts: Mapping[ShardKey, Part]
    receipts: Mapping[ShardKey, Receipt]
    failures: tuple[Failure, ...]
    unused: tuple[Receipt, ...] = ()
    known: frozenset[ShardKey] = frozenset()  # parts with a receipt of any state

    @classmethod
    def load(cls, store: Store, corpus: Corpus, settings: CorpusSettings) -> Self:
        """Read the receipts and list the mirror; sends no request to a distributor."""
        done = Split.load(store, download_place(corpus, ShardKey(corpus.name, ARCHIVES, 0)).folder)
        parts = {
            part.key: part
            for part in _parts(store, corpus, settings, done)
            if part.is_for(chosen_splits(corpus, settings))
        }
        receipts = {
            key: receipt
            for key, part in parts.items()
            if (receipt := _receipt_of(part, done)) is not None
        }
        unused = tuple(receipt for receipt in done.receipts if receipt.key not in parts)
        known = frozenset(key for key in parts if done.of(key))
        return cls(parts, receipts, done.failures, unused, known)

    @property
    def relisted(self) -> set[ShardKey]:
        """Deliveries that were hashed, but are listed differently now."""
        return {
            key
            for key in self.known
            if key not in self.receipts and isinstance(self.parts[key].source, Delivery)
        }

    def missing(self) -> dict[ShardKey, Part]:
        """The parts that are not downloaded yet."""
        return {key: part for key, part in self.parts.items() if key not in self.receipts}

    def of(self, *splits: str) -> dict[ShardKey, Part]:
        """The parts that these splits need."""
        return {key: part for key, part in self.parts.items() if part.is_for(splits)}


def _parts(store: Store, corpus: Corpus, settings: CorpusSettings, done: Split) -> Iterator[Part]:
    """All parts: the sources in order, then the files of a Hub data set in order."""
    is_delivered = any(isinstance(source, Delivery) for source in corpus.sources)
    below = _files_below(settings.mirror) if is_delivered else {}
    for number, source in enumerate(corpus.sources):
        key = ShardKey(corpus.name, ARCHIVES, number)
        if not isinstance(source, HubFiles) and source.name in settings.without:
            continue
        if isinstance(source, Archive):
            yield Part(key=key, name=source.name, source=source, splits=source.splits)
        elif isinstance(source, Delivery):
            listing = delivered(below, source)
            yield Part(
                key=key,
                name=source.name,
                source=source,
                splits=source.splits,
                delivery_digest=listing_digest(listing) if listing else "",
            )
        else:
            part = Part(key=key, name=LISTING_NAME, source=source)
            yield part
            if (receipt := _receipt_of(part, done)) is not None:
                yield from _hub_files(store, corpus, settings, source, receipt)


def _hub_files(
    store: Store, corpus: Corpus, settings: CorpusSettings, source: HubFiles, receipt: Receipt
) -> Iterator[Part]:
    """The listed files; with `limit_hours`, as many of each split as the limit needs."""
    with store.fetch(receipt.output) as path:
        listed = LISTING.validate_json(path.read_bytes())
    num_bytes = dict.fromkeys(corpus.splits, 0)
    is_limited = settings.limit_hours is not None and corpus.self_contained
    limit_bytes = (settings.limit_hours or 0) * _PCM_BYTES_PER_HOUR
    for number, file in enumerate(listed.files, start=len(corpus.sources)):
        splits = splits_of(source, file.path)
        if is_limited and splits and all(num_bytes[split] >= limit_bytes for split in splits):
            continue
        for split in splits:
            num_bytes[split] += file.size_bytes
        yield Part(
            key=ShardKey(corpus.name, ARCHIVES, number),
            name=file.path,
            source=source,
            splits=splits,
            file=file,
            commit=listed.commit,
        )


def splits_of(source: HubFiles, path: str) -> tuple[str, ...]:
    """The splits whose patterns a file matches; empty for a file that all splits need."""
    return tuple(
        split
        for split, patterns in source.patterns.items()
        if split and any(fnmatchcase(path, pattern) for pattern in patterns)
    )


def delivered(below: Mapping[str, StoredFile], source: Delivery) -> dict[str, StoredFile]:
    """The files of a delivery among all files below a mirror."""
    return {
        path: entry
        for path, entry in below.items()
        if any(fnmatchcase(path, pattern) for pattern in source.files)
    }


def listing_digest(listing: Mapping[str, StoredFile]) -> str:
    """A digest that changes when a file of a delivery is added, removed or rewritten."""
    return digest([[path, entry.size_bytes, entry.tag] for path, entry in listing.items()])


def _files_below(mirror: str | None) -> Mapping[str, StoredFile]:
    """All files below a mirror; empty if it cannot be listed."""
    if mirror is None:
        return {}
    try:
        return Store(mirror).list("")
    except (DistilleryError, OSError):
        return {}


def _receipt_of(part: Part, done: Split) -> Receipt | None:
    """The receipt of the current state of a part; the newest if a delivery cannot be listed."""
    receipts = done.of(part.key)
    wanted = part.delivery_digest if part.file is None else file_identity(part.file.digest)
    if wanted:
        receipts = [receipt for receipt in receipts if receipt.source_digest == wanted]
    return max(receipts, key=lambda receipt: receipt.finished_at, default=None)


def host_of(settings: CorpusSettings, source: Source) -> str | None:
    """The host that a source is downloaded from; None for local folders and object stores."""
    if settings.mirror is not None:
        url = settings.mirror
    elif isinstance(source, Archive):
        url = source.url
    else:
        url = endpoint() if isinstance(source, HubFiles) else ""
    return urlsplit(url).hostname if url.startswith(("http://", "https://")) else None


def mirror_of(corpus: Corpus, settings: CorpusSettings, source: Delivery) -> Store:
    """The store of a delivery; raises `UserError` with instructions if no mirror is configured."""
    if settings.mirror is None:
        raise UserError(
            f"{source.name} ({source.title}) must be obtained manually: {source.how};"
            f" then set corpora.{corpus.name}.mirror to its folder"
        )
    return Store(settings.mirror)

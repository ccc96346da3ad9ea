"""Downloads the files of a corpus into the store, verifies them and writes receipts."""

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import CorpusSettings
from storage.errors import UserError, without_secrets
from storage.fingerprint import digest
from storage.receipt import Counts, FileRef, Receipt
from storage.stage import Place, find_receipt
from storage.store import Store
from tasks.corpora.base import Corpus
from tasks.corpora.sources import Archive, Delivery, HubFiles
from tasks.download.archive import MAX_EXPANSION, stored_name, unpack
from tasks.download.digests import INDEX_NAME
from tasks.download.fetch import Digest, OnBytes, fetch, read_small
from tasks.download.hub import HubFile, HubListing, auth_headers, file_url, list_files
from tasks.download.parts import (
    LISTING,
    LISTING_NAME,
    Part,
    delivered,
    download_place,
    file_identity,
    listing_digest,
    mirror_of,
)
from tasks.download.ranges import hash_blocks
from tasks.download.schema import INDEX, WHOLE_BYTES


def download(
    store: Store,
    corpus: Corpus,
    settings: CorpusSettings,
    part: Part,
    on_bytes: OnBytes | None = None,
    num_per_host: int = 4,
    max_expansion: float = MAX_EXPANSION,
) -> Receipt:
    """Download and verify one part of a corpus; returns its receipt.

    A file is stored with an index of its members. A delivery is not copied: only its index is
    stored. Raises what `fetch` and `unpack` raise, and `UserError` for files that must be obtained
    manually.
    """
    if isinstance(part.source, Delivery):
        return _download_delivery(store, corpus, settings, part, part.source)
    if isinstance(part.source, HubFiles) and part.file is None:
        return _download_listing(store, corpus, settings, part, part.source)
    url, expected = _address(corpus, settings, part)
    place = download_place(corpus, part.key)
    source_digest = file_identity(expected) if expected else digest(["first", part.name])
    if (done := find_receipt(store, place, source_digest)) is not None:
        return done
    is_hub = part.file is not None and settings.mirror is None
    with (
        fetch(
            url,
            expected,
            store.scratch_folder(),
            on_bytes,
            size_bytes=part.file.size_bytes or None if part.file else None,
            headers=auth_headers() if is_hub else None,
            num_per_host=num_per_host,
        ) as source,
        store.sink(place.folder) as sink,
    ):
        members = unpack(source, part.name, sink, max_expansion)
        name = PurePosixPath(stored_name(part.name)).name
        stored = store.keep(sink, place.file_path(sink.sha256, name))
    recorded = {"source": without_secrets(url)}
    if expected is not None:
        recorded[expected.algorithm] = expected.hexadecimal
    return _receipt(
        store,
        place,
        source_digest,
        output=stored.model_copy(update={"num_rows": 1}),
        beside=(_keep_index(store, place, members),),
        num_files=1,
        recorded=recorded,
    )


def _download_listing(
    store: Store, corpus: Corpus, settings: CorpusSettings, part: Part, source: HubFiles
) -> Receipt:
    """Store the list of files of a Hub data set, from the Hub or from a mirror with checksums."""
    patterns = tuple(pattern for patterns in source.patterns.values() for pattern in patterns)
    if settings.checksums == "sha256sums":
        listing = _listed_on_mirror(corpus, settings, source, patterns)
    else:
        listing = list_files(source.repo, source.revision, source.gated, patterns)
    if not listing.files:
        raise UserError(
            f"{source.repo} at {listing.commit} has no file {' or '.join(patterns)}: its layout is"
            f" not that expected of {corpus.title}; set a revision that has these files"
        )
    place = download_place(corpus, part.key)
    with store.sink(place.folder) as sink:
        sink.write(LISTING.dump_json(listing, indent=1))
        kept = store.keep(sink, place.file_path(sink.sha256, LISTING_NAME))
    return _receipt(
        store,
        place,
        digest(["listing", source.repo, source.revision]),
        output=kept.model_copy(update={"num_rows": 1}),
        beside=(),
        num_files=1,
        recorded={"source": source.repo, "commit": listing.commit},
    )


def _download_delivery(
    store: Store, corpus: Corpus, settings: CorpusSettings, part: Part, source: Delivery
) -> Receipt:
    """Hash the files of a delivery in place."""
    mirror = mirror_of(corpus, settings, source)
    listing = delivered(mirror.list(""), source)
    if not listing:
        raise UserError(
            f"{source.name} ({source.title}) was not found below {mirror.root}: no file matches"
            f" {' or '.join(source.files)}; {source.how}"
        )
    rows = [_hashed(mirror, path, entry.size_bytes) for path, entry in listing.items()]
    columns = [list(column) for column in zip(*rows, strict=True)]
    place = download_place(corpus, part.key)
    kept = _keep_index(store, place, pa.table(columns, schema=INDEX))
    return _receipt(
        store,
        place,
        listing_digest(listing),
        output=kept,
        beside=(),
        num_files=len(rows),
        recorded={"source": source.name},
    )


def _hashed(mirror: Store, path: str, size_bytes: int) -> tuple[str, int, int, None, str, Any]:
    """The row of a delivered file in the index."""
    sha256, blocks = hash_blocks(partial(mirror.read, path), size_bytes)
    return path, 0, size_bytes, None, sha256, blocks if size_bytes > WHOLE_BYTES else None


def _keep_index(store: Store, place: Place, members: pa.Table) -> FileRef:
    with store.sink(place.folder) as sink:
        pq.write_table(members, sink, compression="zstd")
        kept = store.keep(sink, place.file_path(sink.sha256, INDEX_NAME))
    return kept.model_copy(update={"num_rows": members.num_rows})


def _receipt(
    store: Store,
    place: Place,
    source_digest: str,
    *,
    output: FileRef,
    beside: tuple[FileRef, ...],
    num_files: int,
    recorded: dict[str, str],
) -> Receipt:
    """Write the receipt of a part; an existing one is kept and returned."""
    receipt = Receipt(
        stage=place.stage,
        fingerprint=place.fingerprint,
        key=place.key,
        source_digest=source_digest,
        output=output,
        beside=beside,
        counts=Counts(rows_in=num_files, rows_out=num_files),
        recorded=recorded,
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    path = place.receipt_path(source_digest)
    if store.put_if_absent(path, receipt.encode()):
        return receipt
    return Receipt.parse(store.read(path), path)


def _address(corpus: Corpus, settings: CorpusSettings, part: Part) -> tuple[str, Digest | None]:
    """The URL of a file and its expected digest; None if no digest is published."""
    source, file, mirror = part.source, part.file, settings.mirror
    if isinstance(source, HubFiles):
        file = cast("HubFile", file)  # the listing has been read before
        url = (
            f"{mirror.rstrip('/')}/{file.path}"
            if mirror
            else file_url(source.repo, part.commit, file.path)
        )
        return url, file.digest
    source = cast("Archive", source)
    if mirror is None and source.by_hand:
        raise UserError(
            f"{source.name} must be obtained manually: {source.by_hand};"
            f" then set corpora.{corpus.name}.mirror to its folder"
        )
    if mirror is not None and not source.by_hand and _has_deliveries_only(corpus, mirror, source):
        mirror = None
    url = f"{mirror.rstrip('/')}/{source.name}" if mirror else source.url
    if settings.checksums == "sha256sums":
        return url, _listed_digest(url)
    if source.sha256 is not None:
        return url, Digest(algorithm="sha256", hexadecimal=source.sha256)
    return url, Digest(algorithm="md5", hexadecimal=source.md5) if source.md5 else None


def _has_deliveries_only(corpus: Corpus, mirror: str, source: Archive) -> bool:
    """Whether a mirror has the manual deliveries only, so that this file comes from its URL."""
    has_deliveries = any(isinstance(other, Delivery) for other in corpus.sources)
    return has_deliveries and not Store(mirror).exists(source.name)


def _listed_digest(url: str) -> Digest:
    folder, name = url.rsplit("/", 1)
    listed = _checksums(folder)
    if name not in listed:
        raise UserError(f"{folder}/SHA256SUMS does not list {name}")
    return listed[name]


def _listed_on_mirror(
    corpus: Corpus, settings: CorpusSettings, source: HubFiles, patterns: tuple[str, ...]
) -> HubListing:
    if settings.mirror is None:
        raise UserError(
            f"corpora.{corpus.name}.checksums: sha256sums needs corpora.{corpus.name}.mirror,"
            " the folder or URL with the SHA256SUMS file"
        )
    listed = _checksums(settings.mirror.rstrip("/"))
    files = tuple(
        HubFile(path=path, size_bytes=0, digest=found)
        for path, found in sorted(listed.items())
        if any(fnmatchcase(path, pattern) for pattern in patterns)
    )
    return HubListing(repo=source.repo, commit="mirror", files=files)


def _checksums(folder: str) -> dict[str, Digest]:
    """The digests in the SHA256SUMS file of a mirror, by path."""
    found: dict[str, Digest] = {}
    for line in read_small(f"{folder}/SHA256SUMS").splitlines():
        hexadecimal, _, listed = line.partition(" ")
        name = listed.strip().lstrip("*").removeprefix("./")
        found[name] = Digest(algorithm="sha256", hexadecimal=hexadecimal.lower())
    return found

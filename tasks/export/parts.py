"""Exports a manifest part by part; a resumed export skips the parts that are complete."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from math import ceil
from typing import Final, Protocol

from storage.errors import UserError
from storage.fingerprint import digest
from storage.manifest import Manifest, ManifestEntry
from storage.receipt import FileRef
from storage.record import Record
from storage.store import Store
from tasks.export.rows import Row, entry_rows

RECORDS: Final = ".distillery"
"""The folder of an export for the records of completed parts."""

PART_BYTES: Final = 500_000_000
"""Approximate audio per part, the size that the Hub recommends for Parquet files."""


class Piece(Record):
    """The windows from `first` up to but not including `end` of a manifest entry, by its index."""

    entry: int
    first: int
    end: int


class Part(Record):
    """Windows of one corpus that are written together; part `index` of `count` of the corpus."""

    corpus: str
    index: int
    count: int
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        """Its path in the export, without a suffix."""
        return f"{self.corpus}/{self.index:05d}-of-{self.count:05d}"

    @property
    def num_windows(self) -> int:
        """The number of windows in the part."""
        return sum(piece.end - piece.first for piece in self.pieces)


class Written(Record):
    """The record of a completed part, written after its file."""

    part: Part
    file: FileRef


class _Claim(Record):
    """What a folder is an export of; it cannot be reused for another."""

    format: str
    version: int
    name: str
    number: int
    digest: str
    parts: str  # digest of the list of parts


class Format(Protocol):
    """An export format."""

    name: str
    version: int
    folder: str  # contains the files that `write` returns

    def write(self, dest: Store, part: Part, rows: Iterator[Row]) -> FileRef:
        """Write a part and return its file, which must be complete."""

    def finish(self, dest: Store, manifest: Manifest, written: Sequence[Written]) -> None:
        """Write the files that cover all parts."""


def export(
    manifest: Manifest,
    store: Store,
    dest: Store,
    form: Format,
    on_windows: Callable[[int], object],
    num_threads: int,
    part_bytes: int = PART_BYTES,
) -> list[Written]:
    """Export a manifest of `store` to `dest`, skipping completed parts.

    `on_windows` is called with the number of windows written since its last call. Raises
    `UserError` if `dest` has another export, `IntegrityError` if a file does not match the
    manifest.
    """
    entries = manifest.content.entries
    all_parts = parts(entries, part_bytes)
    _claim(dest, manifest, form, all_parts)
    listing = {**dest.list(RECORDS), **dest.list(form.folder)}
    written: list[Written] = []
    for part in all_parts:
        path = f"{RECORDS}/{part.name}.json"
        found = Written.parse(dest.read(path), path) if path in listing else None
        stored = listing.get(found.file.path) if found else None
        if found is None or stored is None or stored.size_bytes != found.file.size_bytes:
            with closing(_rows(entries, part, store, on_windows, num_threads)) as rows:
                found = Written(part=part, file=form.write(dest, part, rows))
            dest.delete(path)  # the record of a missing or damaged file
            dest.put_if_absent(path, found.encode())
        else:
            on_windows(part.num_windows)
        written.append(found)
    form.finish(dest, manifest, written)
    return written


def parts(entries: Sequence[ManifestEntry], part_bytes: int = PART_BYTES) -> list[Part]:
    """Divide the windows of all entries into parts of about `part_bytes` of audio, by corpus.

    Larger entries are cut into equal pieces. The result depends on the manifest alone.
    """
    by_corpus: dict[str, list[list[Piece]]] = {}
    sizes: dict[str, float] = {}
    for place, entry in enumerate(entries):
        groups = by_corpus.setdefault(entry.corpus, [])
        for piece, size_bytes in _pieces(place, entry, part_bytes):
            if not groups or sizes[entry.corpus] + size_bytes > part_bytes:
                groups.append([])
                sizes[entry.corpus] = 0
            groups[-1].append(piece)
            sizes[entry.corpus] += size_bytes
    return [
        Part(corpus=corpus, index=index, count=len(groups), pieces=tuple(group))
        for corpus, groups in by_corpus.items()
        for index, group in enumerate(groups)
    ]


def _pieces(place: int, entry: ManifestEntry, part_bytes: int) -> Iterator[tuple[Piece, float]]:
    """The pieces of an entry, each with its approximate bytes of audio."""
    share_kept = entry.num_utterances / max(1, entry.files["normalise"].num_rows)
    size_bytes = entry.files["normalise"].size_bytes * share_kept
    num_pieces = max(1, min(entry.num_windows, ceil(size_bytes / part_bytes)))
    bounds = [entry.num_windows * index // num_pieces for index in range(num_pieces + 1)]
    for first, end in pairwise(bounds):
        if end > first:
            yield Piece(entry=place, first=first, end=end), size_bytes / num_pieces


def _rows(
    entries: Sequence[ManifestEntry],
    part: Part,
    store: Store,
    on_windows: Callable[[int], object],
    num_threads: int,
) -> Generator[Row, None, None]:
    for piece in part.pieces:
        found = entry_rows(entries[piece.entry], store, piece.first, piece.end, num_threads)
        with closing(found) as rows:
            for row in rows:
                yield row
                on_windows(1)


def _claim(dest: Store, manifest: Manifest, form: Format, all_parts: Sequence[Part]) -> None:
    path = f"{RECORDS}/export.json"
    wanted = _Claim(
        format=form.name,
        version=form.version,
        name=manifest.name,
        number=manifest.number,
        digest=manifest.digest,
        parts=digest([part.model_dump(mode="json") for part in all_parts]),
    )
    if dest.put_if_absent(path, wanted.encode()):
        return
    found = _Claim.parse(dest.read(path), path)
    if found != wanted:
        raise UserError(
            f"{dest.root} contains the export of {found.name} {found.number} as {found.format},"
            f" not of {wanted.name} {wanted.number} as {wanted.format}; name another folder"
        )

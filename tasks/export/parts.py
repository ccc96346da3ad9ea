"""A manifest written elsewhere part by part: what is written is skipped, and nothing is half.

Knows the parts and their records; what a part is made of belongs to its format.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import pairwise
from math import ceil
from typing import Final, Protocol

from storage.errors import UserError
from storage.fingerprint import digest
from storage.manifest import Manifest, ManifestEntry
from storage.receipt import FileRef, Record
from storage.store import Store
from tasks.export.rows import Row, entry_rows

RECORDS: Final = ".distillery"
"""The folder of an export in which it is written what is done."""

PART_BYTES: Final = 500_000_000
"""Of audio in a part, about: what the Hub recommends for a Parquet file."""


class Piece(Record):
    """The windows `first` to `end` of an entry of the manifest, by the entry's place in it."""

    entry: int
    first: int
    end: int


class Part(Record):
    """Some windows of one corpus that are written together; `index` of `count` of that corpus."""

    corpus: str
    index: int
    count: int
    pieces: tuple[Piece, ...]

    @property
    def name(self) -> str:
        """Its path below a folder, without an ending."""
        return f"{self.corpus}/{self.index:05d}-of-{self.count:05d}"

    @property
    def num_windows(self) -> int:
        """How many windows it holds."""
        return sum(piece.end - piece.first for piece in self.pieces)


class Written(Record):
    """The record of a part that is done: written last, so that it proves the file."""

    part: Part
    file: FileRef


class _Claim(Record):
    """What a folder is an export of: it never becomes one of anything else."""

    format: str
    version: int
    name: str
    number: int
    digest: str
    parts: str  # digest of how it is parted


class Format(Protocol):
    """A form in which a manifest is written."""

    name: str
    version: int
    folder: str  # of the files that `write` returns

    def write(self, dest: Store, part: Part, rows: Iterator[Row]) -> FileRef:
        """Write a part; the file returned is there and whole when this ends."""

    def finish(self, dest: Store, manifest: Manifest, written: Sequence[Written]) -> None:
        """Write what belongs to all parts."""


def export(
    manifest: Manifest,
    store: Store,
    dest: Store,
    form: Format,
    on_windows: Callable[[int], object],
    num_threads: int,
    part_bytes: int = PART_BYTES,
) -> list[Written]:
    """Write a manifest of `store` to `dest`; parts that are there are not written again.

    `on_windows` is told of so many more windows. Raises `UserError` when `dest` holds an export of
    something else, `IntegrityError` when a file is not what the manifest says.
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
            dest.delete(path)  # of a file that is gone or damaged
            dest.put_if_absent(path, found.model_dump_json(indent=1).encode())
        else:
            on_windows(part.num_windows)
        written.append(found)
    form.finish(dest, manifest, written)
    return written


def parts(entries: Sequence[ManifestEntry], part_bytes: int = PART_BYTES) -> list[Part]:
    """The windows of all entries in parts of about `part_bytes` of audio, corpus by corpus.

    An entry that is larger is cut into equal pieces. The manifest alone decides.
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
    """The pieces of an entry, with the bytes of audio that each has about."""
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
    if dest.put_if_absent(path, wanted.model_dump_json(indent=1).encode()):
        return
    found = _Claim.parse(dest.read(path), path)
    if found != wanted:
        raise UserError(
            f"{dest.root} holds the export of {found.name} {found.number} as {found.format},"
            f" not of {wanted.name} {wanted.number} as {wanted.format}; name another folder"
        )

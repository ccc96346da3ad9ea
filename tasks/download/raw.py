"""The raw files of a corpus in the store: brought by `download`, read by those after it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import pyarrow.parquet as pq

from configs.schema import CorpusSettings
from storage.errors import UserError, without_secrets
from storage.fingerprint import digest
from storage.receipt import Counts, Receipt
from storage.receipts import Split
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.corpora.base import Archive, Corpus, Member
from tasks.download.archive import index, stored_name, unpack
from tasks.download.fetch import Digest, OnBytes, fetched, read_small

STAGE: Final = "download"
ARCHIVES: Final = "archives"
"""The name that stands where later stages have a split."""


def wanted_archives(corpus: Corpus, settings: CorpusSettings) -> dict[ShardKey, Archive]:
    """The files that the chosen splits need, by key."""
    return archives_of(corpus, *chosen_splits(corpus, settings))


def archives_of(corpus: Corpus, *splits: str) -> dict[ShardKey, Archive]:
    """The files that hold any of these splits, by key: the place in the corpus's list."""
    return {
        ShardKey(corpus.name, ARCHIVES, number): archive
        for number, archive in enumerate(corpus.archives)
        if not archive.splits or not set(splits).isdisjoint(archive.splits)
    }


def chosen_splits(corpus: Corpus, settings: CorpusSettings) -> tuple[str, ...]:
    """The splits that a configuration takes, in order; raises `UserError` for unknown ones."""
    if settings.splits is None:
        return tuple(corpus.splits)
    if unknown := set(settings.splits) - set(corpus.splits):
        raise UserError(
            f"corpora.{corpus.name}.splits: no split {min(unknown)!r};"
            f" there are {', '.join(corpus.splits)}"
        )
    return tuple(split for split in corpus.splits if split in settings.splits)


def download_place(corpus: Corpus, key: ShardKey) -> Place:
    """Where a downloaded file is kept, by the corpus's revision in place of a fingerprint."""
    return Place(stage=STAGE, fingerprint=corpus.revision, key=key)


def downloads(store: Store, corpus: Corpus) -> Split:
    """What is downloaded of a corpus, and what failed."""
    return Split.load(store, download_place(corpus, ShardKey(corpus.name, ARCHIVES, 0)).folder)


def download(
    store: Store,
    corpus: Corpus,
    settings: CorpusSettings,
    key: ShardKey,
    on_bytes: OnBytes | None = None,
) -> Receipt:
    """Bring one file, verify it, keep it with an index of its members, and say so in a receipt.

    Raises what `fetched` raises; `UserError` when no digest is published for the file.
    """
    archive, place = corpus.archives[key.index], download_place(corpus, key)
    for receipt in downloads(store, corpus).receipts:
        if receipt.key == key:
            return receipt
    url, expected = _source(corpus, archive, settings)
    source_digest = digest([expected.algorithm, expected.hexadecimal])
    with (
        fetched(url, expected, store.scratch_folder(), on_bytes) as source,
        store.sink(place.folder) as sink,
    ):
        unpack(source, archive.name, sink)
        sink.close()
        members = index(sink.path, archive.name)
        stored = store.keep(sink, place.file_path(sink.sha256, stored_name(archive.name)))
    with store.sink(place.folder) as sink:
        pq.write_table(members, sink, compression="zstd")
        listed = store.keep(sink, place.file_path(sink.sha256, "index.parquet"))
    receipt = Receipt(
        stage=STAGE,
        fingerprint=corpus.revision,
        key=key,
        source_digest=source_digest,
        output=stored.model_copy(update={"num_rows": 1}),
        beside=(listed.model_copy(update={"num_rows": members.num_rows}),),
        counts=Counts(rows_in=1, rows_out=1),
        recorded={"source": without_secrets(url), expected.algorithm: expected.hexadecimal},
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    data = receipt.model_dump_json(indent=1).encode()
    store.put_if_absent(place.receipt_path(source_digest), data)
    return receipt


def _source(corpus: Corpus, archive: Archive, settings: CorpusSettings) -> tuple[str, Digest]:
    """Where a file comes from and what it must hash to."""
    url = f"{settings.mirror.rstrip('/')}/{archive.name}" if settings.mirror else archive.url
    if settings.checksums == "sha256sums":
        return url, _listed_digest(url)
    if archive.sha256 is not None:
        return url, Digest(algorithm="sha256", hexadecimal=archive.sha256)
    if archive.md5 is not None:
        return url, Digest(algorithm="md5", hexadecimal=archive.md5)
    raise UserError(
        f"{corpus.title} publishes no digest of {archive.name}; put it on a mirror with a"
        f" SHA256SUMS file and set corpora.{corpus.name}.checksums: sha256sums"
    )


def _listed_digest(url: str) -> Digest:
    folder, name = url.rsplit("/", 1)
    for line in read_small(f"{folder}/SHA256SUMS").splitlines():
        hexadecimal, _, listed = line.partition(" ")
        if listed.strip().lstrip("*").removeprefix("./") == name:
            return Digest(algorithm="sha256", hexadecimal=hexadecimal.lower())
    raise UserError(f"{folder}/SHA256SUMS does not list {name}")


class RawFiles:
    """The members of downloaded archives; satisfies `tasks.corpora.base.Raw`."""

    def __init__(self, store: Store, receipts: Sequence[Receipt]) -> None:
        self._store = store
        self._members: list[Member] = []
        for receipt in receipts:
            with store.fetch(receipt.beside[0]) as path:
                table = pq.read_table(path)
            columns = (table.column(name).to_pylist() for name in table.schema.names)
            self._members += [
                Member(receipt.output.path, *row) for row in zip(*columns, strict=True)
            ]
        self._members.sort(key=lambda member: member.name)

    def members(self, suffix: str = "") -> Iterable[Member]:
        """The members of all archives whose names end in `suffix`, in order of name."""
        return (member for member in self._members if member.name.endswith(suffix))

    def read(self, member: Member) -> bytes:
        """The bytes of one member, by one ranged read."""
        return self._store.read(member.file, member.offset, member.offset + member.size)

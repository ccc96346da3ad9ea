"""From genuine archives to segments, by way of a mirror, a download and the stored files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.schema import CorpusSettings
from storage.store import Store
from tasks.corpora.base import Corpus, Segment, Unplanned
from tasks.download.raw import RawFiles, download, wanted_archives

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]


@pytest.fixture
def read_corpus(tmp_path: Path, store: Store) -> ReadCorpus:
    """What a corpus reads from archives by name, and the raw files that it reads from."""

    def read(
        corpus: Corpus, archives: dict[str, bytes], splits: tuple[str, ...] | None = None
    ) -> tuple[list[Segment | Unplanned], RawFiles]:
        lines = []
        for name, data in archives.items():
            (tmp_path / name).write_bytes(data)
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        (tmp_path / "SHA256SUMS").write_text("".join(lines))
        settings = CorpusSettings(mirror=str(tmp_path), checksums="sha256sums", splits=splits)
        receipts = [
            download(store, corpus, settings, key) for key in wanted_archives(corpus, settings)
        ]
        raw = RawFiles(store, receipts)
        return list(corpus.read(raw)), raw

    return read

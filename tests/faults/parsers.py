"""Parses seeded mutations in a process of its own, with limits.

    python -m tests.faults.parsers FIRST_SEED LAST_SEED NAME...

A process that ends early, by a limit or an error of another kind than those declared, leaves the
seed that did it as its last line.
"""

import gzip
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from configs.load import ConfigError, load_config
from configs.schema import CorpusSettings
from storage.errors import DistilleryError
from storage.outcome import Rejected
from storage.schema import REJECTED
from storage.store import Store
from tasks.corpora.base import Member, Segment
from tasks.corpora.registry import corpus_named
from tasks.corpora.sources import Archive
from tasks.download.files import RawFiles
from tasks.download.parts import Downloads
from tasks.download.raw import download
from tasks.plan.shard import plan_part
from tests.builders import flac, noise, tar, tar_gz
from tests.faults.local_sources import LOCAL_SOURCES
from tests.faults.mutations import mutated
from tests.faults.sources import SOURCES, Source

MAX_CPU_S = 5.0
MAX_BYTES = 4 << 30
DECLARED = (DistilleryError, ConfigError)
MEMBERS = {
    "a.tsv": b"one\ttwo\n" * 300,
    "deep/" * 30 + "1.flac": flac(noise(2_000)),
    "2.txt": b"",
    "\xfcml.txt": b"text",
}
SHARED_MEMORY = Path("/dev") / "shm"
SCRATCH = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
CONFIGURATION = Path(__file__).parents[2] / "configs" / "full.yaml"


def zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


class InMemory:
    """The files of a corpus in memory; implements `tasks.corpora.base.Raw`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files

    def members(self, suffix: str = "") -> Iterable[Member]:
        names = sorted(name for name in self.files if name.endswith(suffix))
        return [Member(name, name, 0, len(self.files[name])) for name in names]

    def read(self, member: Member) -> bytes:
        return self.files[member.file]

    def open(self, member: Member) -> BinaryIO:
        return io.BytesIO(self.files[member.file])

    def others(self) -> Iterable[str]:
        return ()


def plan(source: Source, files: Mapping[str, bytes]) -> int:
    """Read, clean and plan a corpus, as far as to tables and JSON; returns the number of rows."""
    corpus = source.corpus
    files = {**dict.fromkeys(source.audio, b"audio"), **files}
    items = list(corpus.read(InMemory(files)))
    for item in items:
        if isinstance(item, Segment):
            corpus.clean(item.raw_text)
    digests = dict.fromkeys(files, "a" * 64)
    for split in {item.split for item in items}:
        part = plan_part(
            items,
            split=split,
            known_ids=(),
            first_shard=0,
            target_shard_hours=1.0,
            file_digests=digests,
            self_contained=corpus.self_contained,
        )
        json.dumps([shard.hours for shard in part.shards], allow_nan=False)
        rejected = [row for row in part.outcomes if isinstance(row, Rejected)]
        columns = [[getattr(row, name) for row in rejected] for name in REJECTED.names]
        pa.table(columns, schema=REJECTED).validate(full=True)
    return len(items)


def load(files: Mapping[str, bytes]) -> int:
    """Load a configuration."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(next(iter(files.values())))
        file.flush()
        return len(load_config(file.name).corpora)


def unpack(files: Mapping[str, bytes]) -> int:
    """Download an archive from a mirror, and read each of its members."""
    [(name, data)] = files.items()
    archive = Archive(url=f"https://example.org/{name}")
    corpus = replace(corpus_named("librispeech"), sources=(archive,))
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        mirror, store = Path(folder, "mirror"), Store(f"{folder}/root")
        mirror.mkdir()
        (mirror / name).write_bytes(data)
        settings = CorpusSettings(mirror=str(mirror))
        [part] = Downloads.load(store, corpus, settings).missing().values()
        raw = RawFiles(store, [download(store, corpus, settings, part)], str(mirror))
        for member in raw.members():
            assert len(raw.read(member)) == member.size
        if escaped := {*os.listdir(folder)} - {"mirror", "root"}:
            raise AssertionError(f"{escaped} was written beside the root")
        return len(list(raw.members()))


@dataclass(frozen=True)
class Parser:
    """What is parsed, and the function that does it: returns the number of rows, or raises."""

    files: Mapping[str, bytes]
    parse: Callable[[Mapping[str, bytes]], int]


PARSERS = {
    name: Parser(source.annotations, partial(plan, source))
    for name, source in (SOURCES | LOCAL_SOURCES).items()
} | {"configuration": Parser({"full.yaml": CONFIGURATION.read_bytes()}, load)}
PARSERS |= {
    f"{name} archive": Parser({f"audio.{name}": data}, unpack)
    for name, data in {
        "tar": tar(MEMBERS),
        "tar.gz": tar_gz(MEMBERS),
        "zip": zipped(MEMBERS),
        "tsv.gz": gzip.compress(MEMBERS["a.tsv"], mtime=0),
    }.items()
}


def outcome_of(name: str, seed: int) -> str:
    """What became of one mutation: `rows`, or `declared` for an error as it should be."""
    parser = PARSERS[name]
    chance = random.Random(f"{name} {seed}")
    file = chance.choice(sorted(parser.files))
    files = {**parser.files, file: mutated(file, parser.files[file], chance)}
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
    message = ""
    try:
        parser.parse(files)
    except DECLARED as error:
        message = str(error)
    signal.setitimer(signal.ITIMER_PROF, 0)
    if len(message.splitlines()) > 1:
        raise ValueError(f"not one line: {message!r}")
    return "declared" if message else "rows"


def main(first: int, last: int, names: list[str]) -> None:
    """Write a line per mutation: its parser and seed before it is tried, and what became of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process, whatever it is doing
    for name in names:
        for seed in range(first, last):
            sys.stdout.write(f"{name}\t{seed}\t")
            sys.stdout.flush()
            sys.stdout.write(f"{outcome_of(name, seed)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])

"""The manifest: an immutable, numbered list of files with digests, which training reads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from storage.errors import IntegrityError, UserError
from storage.fingerprint import digest
from storage.receipt import FileRef, Record, Sha256
from storage.shard import ShardKey
from storage.store import Store

_NUMBER = re.compile(r"/(\d{5,})\.json$")
_MAX_RACES = 100


class ManifestEntry(Record):
    """One shard of training data: its audio, what the teacher heard, and what is kept of it."""

    key: ShardKey
    audio: FileRef
    label: FileRef
    evidence: FileRef
    kept: FileRef
    num_windows: int
    num_utterances: int
    hours: float

    @property
    def corpus(self) -> str:
        """The corpus that the shard belongs to."""
        return self.key.corpus

    @property
    def files(self) -> tuple[FileRef, ...]:
        """Every file that the entry names."""
        return (self.audio, self.label, self.evidence, self.kept)


class Terms(Record):
    """What one may do with a corpus, as it was told when the manifest was published."""

    name: str
    commercial_use: bool
    derivatives: bool
    redistribution: bool
    to_sign: str = ""
    note: str = ""


class Totals(Record):
    """What a corpus, or all of them, bring to the manifest."""

    shards: int
    hours_heard: float  # by the teacher
    windows_heard: int
    windows: int
    utterances: int
    hours: float
    dropped: Mapping[str, int] = {}
    quarantined: Mapping[str, int] = {}


class Content(Record):
    """What the digest of a manifest covers: two manifests of equal content are the same."""

    name: str
    entries: tuple[ManifestEntry, ...]
    fingerprints: Mapping[str, Mapping[str, str]]  # stage -> corpus -> fingerprint
    parameters: Mapping[str, Any]
    missing_shards: tuple[str, ...] = ()

    @property
    def num_windows(self) -> int:
        """Windows to learn from."""
        return sum(entry.num_windows for entry in self.entries)

    def digest(self) -> str:
        """SHA-256 over name, sorted entries, fingerprints, parameters and what is missing.

        How far a missing shard came does not count, nor the order of the corpora.
        """
        value = self.model_dump(mode="json")
        value["missing_shards"] = sorted(name.split(" ")[-1] for name in self.missing_shards)
        value["entries"] = sorted(value["entries"], key=lambda entry: str(entry["key"]))
        return digest(value)


class Manifest(Record):
    """A published content with its number and provenance, which the digest does not cover."""

    number: Annotated[int, Field(ge=1)]
    parent: int | None
    digest: Sha256
    published_at: str
    root: str
    versions: Mapping[str, str]  # of code and libraries
    licences: Mapping[str, Terms]  # by corpus
    totals: Mapping[str, Totals]  # by corpus, and `all`
    content: Content

    @property
    def name(self) -> str:
        """The name under which it is published."""
        return self.content.name


def _path(name: str, number: int) -> str:
    return f"manifests/{name}/{number:05d}.json"


def numbers(store: Store, name: str) -> list[int]:
    """The numbers published under a name, in order."""
    found = (_NUMBER.search(path) for path in store.list(f"manifests/{name}"))
    return sorted(int(match[1]) for match in found if match)


def names(store: Store) -> list[str]:
    """The names under which anything is published."""
    return sorted({path.split("/")[1] for path in store.list("manifests")})


def load(store: Store, name: str, number: int | None = None) -> Manifest:
    """Read a manifest, the newest by default.

    Raises `UserError` when there is none and `IntegrityError` when its content is not that of its
    digest.
    """
    published = numbers(store, name)
    wanted = number if number is not None else max(published, default=0)
    if wanted not in published:
        known = ", ".join(map(str, published)) or "none; `distillery run` publishes one"
        raise UserError(f"no manifest {name} {number or ''} in {store.root}; published: {known}")
    manifest = Manifest.parse(store.read(_path(name, wanted)), _path(name, wanted))
    if (found := manifest.content.digest()) != manifest.digest:
        raise IntegrityError(
            f"manifest {name} {wanted} says digest {manifest.digest}, its content has {found}"
        )
    return manifest


def publish(
    store: Store,
    content: Content,
    *,
    published_at: str,
    versions: Mapping[str, str],
    licences: Mapping[str, Terms],
    totals: Mapping[str, Totals],
) -> tuple[Manifest, bool]:
    """Claim the next number for `content`; equal content keeps the number that it has.

    Returns the manifest that stands, and whether it is new. Racing publishers get different
    numbers, or the same one if their content is equal.
    """
    content_digest = content.digest()
    for _ in range(_MAX_RACES):
        highest = max(numbers(store, content.name), default=0)
        if highest:
            newest = load(store, content.name, highest)
            if newest.digest == content_digest:
                return newest, False
        manifest = Manifest(
            number=highest + 1,
            parent=highest or None,
            digest=content_digest,
            published_at=published_at,
            root=store.root,
            versions=versions,
            licences=licences,
            totals=totals,
            content=content,
        )
        data = manifest.model_dump_json(indent=1).encode()
        if store.put_if_absent(_path(content.name, manifest.number), data):
            return manifest, True
    raise UserError(
        f"lost {_MAX_RACES} races for a number of {content.name}; are others publishing it too?"
    )


def verify(store: Store, manifest: Manifest) -> Iterator[tuple[FileRef, str | None]]:
    """Hash every file that the manifest names; yields each with None, or with what is wrong."""
    for file in all_files(manifest.content.entries):
        try:
            with store.fetch(file):
                yield file, None
        except IntegrityError as error:
            yield file, str(error)


def all_files(entries: Sequence[ManifestEntry]) -> list[FileRef]:
    """The files of all entries, each once, in order of path."""
    files = {file.path: file for entry in entries for file in entry.files}
    return [files[path] for path in sorted(files)]

"""The manifest: an immutable, numbered list of files with digests, which training reads."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

from pydantic import Field

from storage.card import card
from storage.errors import IntegrityError, UserError
from storage.fingerprint import digest
from storage.receipt import FileRef, Record, Sha256
from storage.shard import ShardKey
from storage.store import Store

_NUMBER = re.compile(r"/(\d{5,})\.json$")
_MAX_RACES = 100
_NUM_HASHERS: Final = 4

STAGES: Final = ("normalise", "label", "score", "filter")
"""Those whose files a manifest names, in the order in which they are made."""


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
    def by_stage(self) -> Mapping[str, FileRef]:
        """Every file that the entry names by the stage that made it, in the order of `STAGES`."""
        return dict(zip(STAGES, (self.audio, self.label, self.evidence, self.kept), strict=True))

    @property
    def files(self) -> tuple[FileRef, ...]:
        """Every file that the entry names."""
        return tuple(self.by_stage.values())


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

    def settings(self, corpus: str) -> dict[str, Any]:
        """What decides the result for one corpus, by dotted name such as `label.language`."""
        return dict(_flat(self.parameters.get(corpus, {})))

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
    def path(self) -> str:
        """Where it is stored."""
        return _path(self.name, self.number)

    @property
    def name(self) -> str:
        """The name under which it is published."""
        return self.content.name


class Checked(Record):
    """A file that a manifest names, the shard and stage that made it, and what is wrong with it."""

    stage: str
    key: ShardKey
    file: FileRef
    wrong: str | None


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _path(name: str, number: int, suffix: str = "json") -> str:
    return f"manifests/{name}/{number:05d}.{suffix}"


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
    numbers, or the same one if their content is equal. Its card is put beside it, after it.
    """
    content_digest = content.digest()
    for _ in range(_MAX_RACES):
        highest = max(numbers(store, content.name), default=0)
        if highest:
            newest = load(store, content.name, highest)
            if newest.digest == content_digest:
                _put_card(store, newest)  # its publisher may have been killed before
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
            _put_card(store, manifest)
            return manifest, True
    raise UserError(
        f"lost {_MAX_RACES} races for a number of {content.name}; are others publishing it too?"
    )


def read_card(store: Store, manifest: Manifest) -> str:
    """The card that was put beside a manifest; made from the manifest where there is none."""
    try:
        return store.read(_path(manifest.name, manifest.number, "md")).decode()
    except FileNotFoundError:
        return card(manifest)


def _put_card(store: Store, manifest: Manifest) -> None:
    store.put_if_absent(_path(manifest.name, manifest.number, "md"), card(manifest).encode())


def verify(store: Store, manifest: Manifest) -> Iterator[Checked]:
    """Hash every file that the manifest names, each once; one `Checked` for each.

    In the order in which what is wrong can be made again: stage by stage, shard by shard.
    """
    found: dict[str, Checked] = {}
    for entry in manifest.content.entries:
        for stage, file in entry.by_stage.items():
            found.setdefault(file.path, Checked(stage=stage, key=entry.key, file=file, wrong=None))

    def check(one: Checked) -> Checked:
        try:
            with store.fetch(one.file):
                return one
        except IntegrityError as error:
            return one.model_copy(update={"wrong": str(error)})

    with ThreadPoolExecutor(_NUM_HASHERS) as pool:
        yield from pool.map(check, sorted(found.values(), key=_order))


def _order(one: Checked) -> tuple[int, ShardKey]:
    return STAGES.index(one.stage), one.key


def all_files(entries: Sequence[ManifestEntry]) -> list[FileRef]:
    """The files of all entries, each once, in order of path."""
    files = {file.path: file for entry in entries for file in entry.files}
    return [files[path] for path in sorted(files)]

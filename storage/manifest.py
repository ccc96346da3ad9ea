"""Manifests: immutable, numbered lists of files with digests, which training reads."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

from pydantic import Field

from storage.card import sealed_card
from storage.errors import IntegrityError, UserError
from storage.fingerprint import digest
from storage.receipt import FileRef, Sha256
from storage.record import Record
from storage.shard import ShardKey
from storage.store import Store

_NUMBER = re.compile(r"/(\d{5,})\.json$")
_MAX_RACES = 100
_NUM_HASHERS: Final = 4


class ManifestEntry(Record):
    """One shard of training data: the file of each stage that it went through, in order."""

    key: ShardKey
    files: Mapping[str, FileRef]
    num_windows: int
    num_utterances: int
    hours: float

    @property
    def corpus(self) -> str:
        """The corpus of the shard."""
        return self.key.corpus


class Terms(Record):
    """The licence of a corpus when the manifest was published."""

    name: str
    commercial_use: bool
    derivatives: bool
    redistribution: bool
    to_sign: str = ""
    note: str = ""


class Totals(Record):
    """Amounts of one corpus, or of all; `hours_heard` and `windows_heard` are before the filter."""

    shards: int
    hours_heard: float
    windows_heard: int
    windows: int
    utterances: int
    hours: float
    dropped: Mapping[str, int] = {}
    quarantined: Mapping[str, int] = {}


class Content(Record):
    """The part of a manifest that its digest covers."""

    name: str
    entries: tuple[ManifestEntry, ...]
    fingerprints: Mapping[str, Mapping[str, str]]  # stage -> corpus -> fingerprint
    parameters: Mapping[str, Any]
    missing_shards: tuple[str, ...] = ()

    @property
    def num_windows(self) -> int:
        """The number of training windows."""
        return sum(entry.num_windows for entry in self.entries)

    def settings(self, corpus: str) -> dict[str, Any]:
        """The parameters of one corpus, by dotted name such as `label.language`."""
        return dict(_flat(self.parameters.get(corpus, {})))

    def digest(self) -> str:
        """SHA-256 of name, entries, fingerprints and missing shards.

        The parameters are covered by the fingerprints, so that a new one with a default changes
        nothing. Independent of the order of corpora and entries, and of the stage that a missing
        shard reached.
        """
        value = self.model_dump(mode="json", exclude={"parameters"})
        value["missing_shards"] = sorted(name.split(" ")[-1] for name in self.missing_shards)
        value["entries"] = sorted(value["entries"], key=lambda entry: str(entry["key"]))
        return digest(value)


class Manifest(Record):
    """A published content with its number and provenance; the digest covers only the content."""

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
        """The path of the manifest below the root."""
        return _path(self.name, self.number)

    @property
    def name(self) -> str:
        """The name it is published under."""
        return self.content.name


class Checked(Record):
    """The result of verifying one file; `wrong` is None if the file matches its digest."""

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


def card_path(name: str, number: int) -> str:
    """The path of the card of a manifest below the root."""
    return _path(name, number, "md")


def numbers(store: Store, name: str) -> list[int]:
    """The numbers published under a name, in rising order."""
    found = (_NUMBER.search(path) for path in store.list(f"manifests/{name}"))
    return sorted(int(match[1]) for match in found if match)


def names(store: Store) -> list[str]:
    """The names of all published manifests."""
    return sorted({path.split("/")[1] for path in store.list("manifests")})


def load(store: Store, name: str, number: int | None = None) -> Manifest:
    """Read a manifest, by default the newest.

    Raises `UserError` if it does not exist and `IntegrityError` if its content does not match its
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
            f"manifest {name} {wanted} states the digest {manifest.digest},"
            f" its content has {found}",
            manifest.path,
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
    render_card: Callable[[Manifest], str],
) -> tuple[Manifest, bool]:
    """Publish `content` under the next number; the newest manifest is kept if its content is equal.

    Returns the manifest and whether it is new. Concurrent publishers get different numbers, or the
    same one if their contents are equal. The card that `render_card` makes is stored beside the
    manifest, after it.
    """
    content_digest = content.digest()
    for _ in range(_MAX_RACES):
        highest = max(numbers(store, content.name), default=0)
        if highest:
            newest = load(store, content.name, highest)
            if newest.digest == content_digest:
                _put_card(store, newest, render_card)  # in case its publisher was killed
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
        if store.put_if_absent(manifest.path, manifest.encode()):
            _put_card(store, manifest, render_card)
            return manifest, True
    raise UserError(
        f"{_MAX_RACES} attempts to publish {content.name} failed because another process took the"
        " number first; stop the other publishers and run `publish` again"
    )


def _put_card(store: Store, manifest: Manifest, render_card: Callable[[Manifest], str]) -> None:
    path = card_path(manifest.name, manifest.number)
    store.put_if_absent(path, sealed_card(render_card(manifest)))


def verify(store: Store, manifest: Manifest) -> Iterator[Checked]:
    """Hash every file of the manifest once, and yield the result of each.

    Ordered by stage and shard, so that damaged files can be recomputed in this order.
    """
    found: dict[str, Checked] = {}
    order: dict[str, int] = {}
    for entry in manifest.content.entries:
        for stage, file in entry.files.items():
            order.setdefault(stage, len(order))
            found.setdefault(file.path, Checked(stage=stage, key=entry.key, file=file, wrong=None))

    def check(one: Checked) -> Checked:
        try:
            with store.fetch(one.file):
                return one
        except IntegrityError as error:
            return one.model_copy(update={"wrong": str(error)})

    with ThreadPoolExecutor(_NUM_HASHERS) as pool:
        ordered = sorted(found.values(), key=lambda one: (order[one.stage], one.key))
        yield from pool.map(check, ordered)


def all_files(entries: Sequence[ManifestEntry]) -> list[FileRef]:
    """The files of all entries without repetition, sorted by path."""
    files = {file.path: file for entry in entries for file in entry.files.values()}
    return [files[path] for path in sorted(files)]

"""Publishing: one number per content, also with concurrent publishers, and no number skipped."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from storage import manifest
from storage.card import sealed_card
from storage.errors import IntegrityError, UserError
from storage.manifest import Content, Manifest, ManifestEntry, Terms, Totals
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.store import Store

OpenStore = Callable[[], Store]
everywhere = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)


def entry(index: int, files: FileRef | None = None) -> ManifestEntry:
    def file(stage: str) -> FileRef:
        return files or FileRef(path=f"{stage}/{index}.parquet", sha256="0" * 64, size_bytes=1)

    return ManifestEntry(
        key=ShardKey("librispeech", "train-clean-100", index),
        files={
            "normalise": file("normalise"),
            "label": file("label"),
            "score": file("score"),
            "filter": file("filter"),
        },
        num_windows=3,
        num_utterances=5,
        hours=0.5,
    )


def content(name: str = "demo", num_entries: int = 2, **changes: Any) -> Content:
    return Content(
        name=name,
        entries=tuple(map(entry, range(num_entries))),
        fingerprints={"label": {"librispeech": "f00d"}},
        parameters={"max_wer_percent": 10.0},
    ).model_copy(update=changes)


def publish(store: Store, content: Content, published_at: str = "now") -> tuple[Manifest, bool]:
    totals = Totals(
        shards=2, hours_heard=2.0, windows_heard=20, windows=6, utterances=10, hours=1.0
    )
    return manifest.publish(
        store,
        content,
        published_at=published_at,
        versions={"python": published_at},
        licences={
            "librispeech": Terms(
                name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True
            )
        },
        totals={"all": totals},
        render_card=lambda manifest: f"# {manifest.name} {manifest.number}\n",
    )


@everywhere
def test_contents_get_rising_numbers_and_a_parent(store: Store) -> None:
    for number in (1, 2, 3):
        published, is_new = publish(store, content(num_entries=number))
        assert is_new
        assert (published.number, published.parent) == (number, number - 1 or None)
    assert manifest.numbers(store, "demo") == [1, 2, 3]
    assert manifest.load(store, "demo") == published
    assert manifest.load(store, "demo", 1).content == content(num_entries=1)


@everywhere
def test_equal_content_keeps_the_number_it_has(store: Store, open_store: OpenStore) -> None:
    first, _ = publish(store, content())
    again, is_new = publish(open_store(), content(), "later")
    assert (again, is_new) == (first, False)
    assert manifest.numbers(store, "demo") == [1]


def test_content_published_again_after_another_gets_a_new_number(store: Store) -> None:
    for num_entries, number in ((1, 1), (2, 2), (1, 3)):
        assert publish(store, content(num_entries=num_entries))[0].number == number


def test_each_name_has_its_own_numbers(store: Store) -> None:
    assert publish(store, content("demo"))[0].number == 1
    assert publish(store, content("demo-2"))[0].number == 1
    assert publish(store, content("demo", 1))[0].number == 2
    assert manifest.names(store) == ["demo", "demo-2"]


@everywhere
def test_concurrent_publishers_of_different_content_skip_no_number(store: Store) -> None:
    num_publishers = 20 if store.is_local else 8
    ready = Barrier(num_publishers)

    def race(publisher: int) -> Manifest:
        ready.wait()
        return publish(store, content(missing_shards=(f"filter {publisher}",)))[0]

    with ThreadPoolExecutor(num_publishers) as pool:
        published = list(pool.map(race, range(num_publishers)))
    assert sorted(one.number for one in published) == list(range(1, num_publishers + 1))
    for one in published:
        assert manifest.load(store, "demo", one.number) == one


@everywhere
def test_concurrent_publishers_of_equal_content_publish_once(store: Store) -> None:
    ready = Barrier(8)

    def race(publisher: int) -> tuple[Manifest, bool]:
        ready.wait()
        return publish(store, content(), f"by {publisher}")

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(race, range(8)))
    assert [is_new for _, is_new in published].count(True) == 1
    assert len({one.published_at for one, _ in published}) == 1
    assert manifest.numbers(store, "demo") == [1]


def test_the_digest_does_not_cover_provenance(store: Store, tmp_path: Any) -> None:
    first, _ = publish(store, content(), "then")
    other, _ = publish(Store(str(tmp_path / "elsewhere")), content(), "later")
    assert (first.root, first.published_at, first.versions) != (
        other.root,
        other.published_at,
        other.versions,
    )
    assert first.digest == other.digest


def test_the_digest_is_independent_of_order() -> None:
    reversed_entries = content().entries[::-1]
    assert content(entries=reversed_entries).digest() == content().digest()
    one, two = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert content(parameters=one).digest() == content(parameters=two).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"entries": (entry(0),)},
        {"entries": (entry(0), entry(1).model_copy(update={"hours": 0.25}))},
        {"fingerprints": {"label": {"librispeech": "beef"}}},
        {"missing_shards": ("librispeech/train-clean-100/00002",)},
    ],
)
def test_the_digest_covers_the_content(changes: dict[str, Any]) -> None:
    assert content(**changes).digest() != content().digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"hours": 0.5', b'"hours": 0.75'),
        (b'"demo"', b'"domo"'),
        (b'"max_wer_percent": 10.0', b'"max_wer_percent": 80.0'),
        (b'"number": 1', b'"number": "x"'),
        (b'"number": 1', b'"number": 2'),
        (b"{", b""),
        (b'"parent"', b'"parents"'),
    ],
)
def test_a_tampered_manifest_is_refused(store: Store, old: bytes, new: bytes) -> None:
    publish(store, content())
    path, _ = store.list("manifests")
    data = store.read(path)
    assert old in data
    store.delete(path)
    store.put_if_absent(path, data.replace(old, new, 1))
    with pytest.raises(IntegrityError, match="demo") as raised:
        manifest.load(store, "demo")
    assert len(str(raised.value).splitlines()) == 1


def test_no_flipped_bit_of_a_manifest_goes_unnoticed(store: Store) -> None:
    publish(store, content())
    path, _ = store.list("manifests")
    data = store.read(path)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(IntegrityError):
            Manifest.parse(bytes(damaged), path)


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [("demo", 3, "published: 1, 2"), ("none", None, "published: none"), ("demo", 0, "1, 2")],
)
def test_the_error_for_a_missing_manifest_lists_the_published_ones(
    store: Store, name: str, number: int | None, expected: str
) -> None:
    publish(store, content(num_entries=1))
    publish(store, content(num_entries=2))
    with pytest.raises(UserError, match=expected):
        manifest.load(store, name, number)


@everywhere
def test_verify_names_the_file_with_a_changed_byte(store: Store) -> None:
    refs = []
    for path in ("normalise/0.parquet", "label/0.parquet"):
        with store.sink("x") as sink:
            sink.write(path.encode())
            refs.append(store.keep(sink, path))
    entries = tuple(map(entry, range(2), refs))
    published, _ = publish(store, content(entries=entries))
    assert [one.wrong for one in manifest.verify(store, published)] == [None, None]
    store.delete("label/0.parquet")
    store.put_if_absent("label/0.parquet", b"label/0.parqueT")
    problems = {one.file.path: one.wrong for one in manifest.verify(store, published)}
    assert problems["normalise/0.parquet"] is None
    assert "label/0.parquet has sha256" in str(problems["label/0.parquet"])
    store.delete("label/0.parquet")
    problems = {one.file.path: one.wrong for one in manifest.verify(store, published)}
    assert "label/0.parquet" in str(problems["label/0.parquet"])


def test_verify_reports_files_by_stage_and_shard(store: Store) -> None:
    published, _ = publish(store, content(entries=(entry(1), entry(0))))
    found = [(one.stage, one.key.index) for one in manifest.verify(store, published) if one.wrong]
    assert found == [
        (stage, index) for stage in published.content.entries[0].files for index in (0, 1)
    ]


@everywhere
def test_publishing_stores_a_card_and_restores_a_missing_one(store: Store) -> None:
    publish(store, content())
    path = manifest.card_path("demo", 1)
    assert path == "manifests/demo/00001.md"
    before = store.read(path)
    assert before == sealed_card("# demo 1\n")
    store.delete(path)
    assert publish(store, content(), "by another, after the first was killed")[1] is False
    assert store.read(path) == before
    assert manifest.names(store) == ["demo"]


def test_every_file_of_a_manifest_is_listed_once() -> None:
    shared = FileRef(path="shared", sha256="0" * 64, size_bytes=1)
    entries = [entry(1), entry(0), entry(2, shared)]
    paths = [file.path for file in manifest.all_files(entries)]
    assert paths == sorted(paths)
    assert len(paths) == 9

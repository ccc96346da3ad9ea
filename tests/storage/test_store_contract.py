"""The contract of every store: a folder, memory or an object store."""

import hashlib
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest

from storage.errors import IntegrityError, UserError
from storage.receipt import FileRef
from storage.store import Store

pytestmark = pytest.mark.parametrize("root", ["local", "memory", "s3", "ceph"], indirect=True)

OpenStore = Callable[[], Store]


def keep(store: Store, path: str, data: bytes) -> FileRef:
    with store.sink(path.rpartition("/")[0]) as sink:
        sink.write(data)
        return store.keep(sink, path)


def replace(store: Store, path: str, data: bytes) -> None:
    store.delete(path)
    assert store.put_if_absent(path, data)


def put_each(store: Store, paths: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: store.put_if_absent(path, b""), paths))


def put_within_the_server(paths: list[str]) -> None:
    """Write to the S3 server directly, which is faster than requests."""
    from moto.backends import get_backend
    from moto.core import DEFAULT_ACCOUNT_ID

    server = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]
    for path in paths:
        server.put_object("bucket", f"root/{path}", b"")


def test_the_first_put_is_kept(store: Store) -> None:
    assert store.put_if_absent("a/b.json", b"first")
    assert not store.put_if_absent("a/b.json", b"second")
    assert store.read("a/b.json") == b"first"


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Make threads switch often, so that races between any two steps occur."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_one_of_concurrent_puts_succeeds(store: Store, open_store: OpenStore) -> None:
    stores, num_writers = (store, open_store()), 16
    for race in range(5):
        ready = Barrier(num_writers)

        def put(writer: int, race: int = race, ready: Barrier = ready) -> bool:
            ready.wait()
            return stores[writer % 2].put_if_absent(f"races/{race}", b"%d" % writer)

        with ThreadPoolExecutor(num_writers) as pool:
            won = list(pool.map(put, range(num_writers)))
        assert won.count(True) == 1
        assert store.read(f"races/{race}") == b"%d" % won.index(True)


def test_a_sink_is_invisible_until_it_is_kept(store: Store, open_store: OpenStore) -> None:
    data = random.Random(1).randbytes(3 << 20)
    with store.sink("a/b") as sink:
        for start in range(0, len(data), 1 << 20):
            sink.write(data[start : start + (1 << 20)])
        assert open_store().list("") == {}
        ref = store.keep(sink, "a/b/kept.bin")
    assert list(open_store().list("")) == ["a/b/kept.bin"]
    assert open_store().read("a/b/kept.bin") == data
    assert ref == FileRef(
        path="a/b/kept.bin", sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)
    )


def test_a_kept_file_becomes_visible_atomically(store: Store) -> None:
    data = bytes(24 << 20)
    with ThreadPoolExecutor(1) as pool, store.sink("a") as sink:
        sink.write(data)
        sink.close()
        keeping = pool.submit(store.keep, sink, "a/x")
        sizes = set()
        while not keeping.done():
            sizes |= {entry.size_bytes for entry in store.list("a").values()}
    assert sizes <= {len(data)}
    assert store.read("a/x") == data


def test_a_sink_that_fails_or_is_not_kept_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.sink("a") as sink:
        assert sink.write(b"half") / 0
    with store.sink("a") as sink:
        sink.write(b"whole, and kept by nobody")
    assert store.list("") == {}
    assert not list(store.scratch_folder().rglob("*.part"))
    assert store.unfinished() == {}


def test_keeping_the_same_content_twice_is_harmless(store: Store) -> None:
    assert keep(store, "a/x", b"same") == keep(store, "a/x", b"same")
    assert store.read("a/x") == b"same"


def test_fetch_gives_the_bytes_and_leaves_no_copy(store: Store) -> None:
    ref = keep(store, "a/x", b"content")
    with store.fetch(ref) as path:
        assert path.read_bytes() == b"content"
    assert not list(store.scratch_folder().rglob("*.part"))
    assert store.exists("a/x")


@pytest.mark.parametrize("damaged", [b"consent", b"content and more", b"cont", b""])
def test_fetch_refuses_other_bytes_and_names_the_file(store: Store, damaged: bytes) -> None:
    ref = keep(store, "a/x", b"content")
    replace(store, "a/x", damaged)
    with pytest.raises(IntegrityError, match="a/x"), store.fetch(ref):
        pass


def test_fetch_of_a_removed_file_names_it(store: Store) -> None:
    ref = keep(store, "a/x", b"content")
    store.delete("a/x")
    with pytest.raises(IntegrityError, match="a/x"), store.fetch(ref):
        pass


def test_local_folder_holds_all_files_verified(store: Store) -> None:
    refs = [keep(store, f"model/{name}", name.encode()) for name in ("config.json", "weights")]
    for _ in range(2):
        folder = store.local_folder(refs)
        assert (folder / "config.json").read_bytes() == b"config.json"
        assert (folder / "weights").read_bytes() == b"weights"
    (folder / "weights").write_bytes(b"weighty")
    with pytest.raises(IntegrityError, match="model/weights"):
        store.local_folder(refs)


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [(0, 10, b"0123456789"), (3, 5, b"34"), (9, 10, b"9"), (None, 2, b"01"), (7, None, b"789")],
)
def test_read_takes_a_range(store: Store, start: int | None, end: int | None, found: bytes) -> None:
    store.put_if_absent("digits", b"0123456789")
    assert store.read("digits", start, end) == found


@pytest.mark.parametrize("start", [0, 4, 10, 50])
def test_an_empty_range_is_empty(store: Store, start: int) -> None:
    store.put_if_absent("digits", b"0123456789")
    assert store.read("digits", start, start) == b""


@pytest.mark.parametrize(("start", "end"), [(8, 11), (10, 12), (50, 60)])
def test_a_range_beyond_the_end_is_damage(store: Store, start: int, end: int) -> None:
    store.put_if_absent("digits", b"0123456789")
    with pytest.raises(IntegrityError, match="digits"):
        store.read("digits", start, end)


def test_reading_a_missing_file(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("a/nothing")


def test_a_listing_is_recursive_and_sorted_and_has_sizes(store: Store) -> None:
    for path in ("a/c", "a/b/2", "a/b/10", "ab/x", "z"):
        store.put_if_absent(path, path.encode())
    listing = store.list("a")
    assert [(path, entry.size_bytes) for path, entry in listing.items()] == [
        ("a/b/10", 6),
        ("a/b/2", 5),
        ("a/c", 3),
    ]
    assert list(store.list("")) == ["a/b/10", "a/b/2", "a/c", "ab/x", "z"]


def test_a_folder_without_files_lists_nothing(store: Store) -> None:
    assert store.list("") == {}
    assert store.list("never/made") == {}
    store.put_if_absent("a/x", b"")
    store.delete("a/x")
    assert store.list("a") == {}


def test_a_listing_hides_partial_files(store: Store) -> None:
    store.put_if_absent("a/.1234.part", b"half")
    store.put_if_absent("a/x", b"whole")
    assert list(store.list("a")) == ["a/x"]


def test_a_listing_shows_changes_of_others_immediately(store: Store, open_store: OpenStore) -> None:
    other = open_store()
    store.list("a"), other.list("a")
    other.put_if_absent("a/x", b"1")
    assert list(store.list("a")) == ["a/x"]
    assert store.exists("a/x")
    other.delete("a/x")
    assert store.list("a") == {}
    assert not store.exists("a/x")


def test_the_tag_changes_with_the_content(store: Store) -> None:
    store.put_if_absent("a/x", b"1")
    before = store.list("a")["a/x"]
    assert store.list("a")["a/x"] == before
    replace(store, "a/x", b"2")
    assert store.list("a")["a/x"].tag != before.tag


def test_a_listing_during_writes_misses_no_finished_file(store: Store) -> None:
    finished = [f"a/{number}" for number in range(20)]
    num_rounds = 8 if store.root.startswith("s3://") else 20
    for path in finished:
        store.put_if_absent(path, b"")

    def come_and_go(writer: int) -> None:
        for number in range(num_rounds):
            store.put_if_absent(f"a/passing-{writer}-{number}", b"")
            store.delete(f"a/passing-{writer}-{number}")

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(come_and_go, writer) for writer in range(2)]
        while not all(writer.done() for writer in writers):
            assert set(finished) <= set(store.list("a"))


def test_a_listing_has_more_than_a_page_of_keys(
    request: pytest.FixtureRequest, store: Store
) -> None:
    kind = request.node.callspec.params["root"]
    is_paged = store.root.startswith("s3://")
    paths = [f"many/{number:05d}" for number in range(1_010 if is_paged else 20)]
    put = put_within_the_server if kind == "s3" else partial(put_each, store)
    put(paths)
    assert list(store.list("many")) == paths


def test_delete_twice_is_harmless(store: Store) -> None:
    store.put_if_absent("a/x", b"")
    store.delete("a/x")
    store.delete("a/x")
    store.delete("never/there")
    assert not store.exists("a/x")


def test_only_a_file_exists(store: Store) -> None:
    store.put_if_absent("a/b/x", b"")
    assert store.exists("a/b/x")
    assert not store.exists("a/b")
    assert not store.exists("a/b/y")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a/.."])
def test_no_path_leads_out_of_the_root(store: Store, path: str) -> None:
    for touch in (
        lambda: store.read(path),
        lambda: store.exists(path),
        lambda: store.list(path),
        lambda: store.delete(path),
        lambda: store.put_if_absent(path, b""),
        lambda: keep(store, path, b""),
    ):
        with pytest.raises(UserError, match="below the root"):
            touch()


def test_check_passes_and_leaves_nothing(store: Store) -> None:
    store.check()
    assert store.list("") == {}
    assert store.unfinished() == {}


def test_a_large_file_is_transferred_in_parts(store: Store) -> None:
    data = random.Random(2).randbytes(56 << 20)  # more than s3fs sends, or brings, at once
    ref = keep(store, "large/x", data)
    assert store.list("large")["large/x"].size_bytes == len(data)
    with store.fetch(ref) as path:
        assert path.read_bytes() == data
    assert store.read("large/x", 50 << 20, (50 << 20) + 9) == data[50 << 20 : (50 << 20) + 9]
    assert store.read("large/x") == data

"""A part of a plan holds as long as its downloads have the bytes that it was made from."""

from collections.abc import Iterable

import pytest

from benchmarks.finished_shards import receipt_of
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.corpora.sources import Archive, HubFiles
from tasks.download.fetch import Digest
from tasks.download.hub import HubFile
from tasks.download.parts import Downloads, Part
from tasks.plan.parts import PlanParts, current_parts

HUB = HubFiles(repo="o/d", revision="main", patterns={"train": ("*.parquet",)})
ARCHIVE = Archive(url="https://example.invalid/a.tar.gz")
DIGEST = Digest(algorithm="sha256", hexadecimal="0" * 64)


def sha256(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


def downloads(
    names: Iterable[str], missing: Iterable[int] = (), *, hub: bool = True, unused: str = ""
) -> Downloads:
    """The listing and the files of a Hub data set, or archives, by what their digests are made of.

    Those at the numbers in `missing` are not here.
    """
    parts, receipts = {}, {}
    for number, name in enumerate(names):
        key = ShardKey("c", "archives", number)
        is_file = hub and number > 0
        file = HubFile(path=f"{number}.parquet", size_bytes=1, digest=DIGEST) if is_file else None
        source = HUB if hub else ARCHIVE
        parts[key] = Part(key=key, name=name, source=source, splits=(), file=file)
        if number not in missing:
            receipts[key] = download(number, name)
    others = tuple(download(100 + number, name) for number, name in enumerate(unused))
    return Downloads(parts, receipts, (), others)


def download(number: int, name: str) -> Receipt:
    key = ShardKey("c", "archives", number)
    receipt = receipt_of(Place(stage="download", fingerprint="r", key=key))
    output = receipt.output.model_copy(update={"sha256": sha256(name)})
    return receipt.model_copy(update={"output": output})


def part(number: int, names: str, finished: int = 0) -> Receipt:
    place = Place(stage="plan", fingerprint="f", key=ShardKey("c", "train", number))
    changes = {
        "sources": tuple(map(sha256, names)),
        "finished_at": f"2026-01-01T00:00:{finished:02d}+00:00",
    }
    return receipt_of(place).model_copy(update=changes)


def current(found: Downloads, *parts: Receipt) -> PlanParts:
    return current_parts(Store("memory://parts"), found, "train", parts)


def test_all_parts_hold_while_the_downloads_are_the_same() -> None:
    parts = part(0, "LA"), part(1, "LBC")
    assert current(downloads("LABC"), *parts) == PlanParts(parts)


def test_a_new_listing_of_the_same_files_changes_nothing() -> None:
    parts = part(0, "LA"), part(1, "LB")
    assert current(downloads("MABC"), *parts) == PlanParts(parts)


def test_another_file_ends_the_plan_at_the_part_that_it_is_in() -> None:
    parts = part(0, "LA"), part(1, "LB"), part(2, "LC")
    assert current(downloads("LAXC"), *parts) == PlanParts(parts[:1])
    assert current(downloads("XB", hub=False), part(0, "A"), part(1, "AB")) == PlanParts(())


def test_nothing_is_decided_while_a_download_is_missing() -> None:
    parts = part(0, "LA"), part(1, "LB")
    assert current(downloads("LAB", missing=[1]), *parts) == PlanParts(parts, is_decided=False)
    assert current(downloads("LABC", missing=[3]), *parts) == PlanParts(parts)


@pytest.mark.parametrize("is_first_newer", [True, False])
def test_of_two_parts_with_one_number_the_one_of_the_downloads_holds(is_first_newer: bool) -> None:
    old, new = part(0, "LA", 2 * is_first_newer), part(0, "LXB", 1)
    assert current(downloads("LAB"), old, new) == PlanParts((old,))
    assert current(downloads("LXB"), old, new) == PlanParts((new,))
    assert current(downloads("LXBC", missing=[3]), old, new) == PlanParts((new,))


def test_a_part_that_adds_nothing_to_a_new_beginning_does_not_continue_it() -> None:
    old = part(0, "LA"), part(1, "LB"), part(2, "LC")
    new = part(0, "LXBC", 1)
    assert current(downloads("LXBC"), *old, new) == PlanParts((new,))
    further = part(1, "LD", 2)
    assert current(downloads("LXBCD"), *old, new, further) == PlanParts((new, further))


def test_what_the_settings_do_not_use_now_still_counts() -> None:
    assert current(downloads("B", hub=False, unused="A"), part(0, "AB")) == PlanParts(
        (part(0, "AB"),)
    )


def test_later_parts_wait_for_one_that_is_missing() -> None:
    parts = part(0, "LA"), part(2, "LC")
    assert current(downloads("LABC"), *parts) == PlanParts(parts)

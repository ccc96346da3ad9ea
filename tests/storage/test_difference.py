"""The difference between two manifests: what was gained and lost, and the causes."""

from collections.abc import Mapping
from typing import Any

import pytest

from storage.difference import Amount, Cause, Difference, difference
from storage.fingerprint import fingerprint
from storage.manifest import Content, Manifest, ManifestEntry, Totals
from storage.receipt import FileRef
from storage.shard import ShardKey

SETTINGS: dict[str, Any] = {
    "splits": ["train"],
    "limit_hours": None,
    "plan": {"revision": "r1", "read_version": 1},
    "label": {"language": "en", "teacher": {"hub": "a/b"}},
    "score": {"clean_version": 1, "normaliser_version": 1},
    "filter": {"max_wer_percent": 10.0},
}
VERSIONS = {"plan": 1, "label": 2, "score": 1, "filter": 1}


def settings(**changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {**value, **changes.get(name, {})} if isinstance(value, dict) else value
        for name, value in SETTINGS.items()
    }


def file(stage: str, key: ShardKey, content: str) -> FileRef:
    return FileRef(path=f"{stage}/{key}.{content}", sha256="0" * 64, size_bytes=1)


def entry(
    corpus: str, index: int, num_windows: int = 4, label: str = "a", kept: str = "a"
) -> ManifestEntry:
    key = ShardKey(corpus, "train", index)
    return ManifestEntry(
        key=key,
        files={
            "normalise": file("normalise", key, "a"),
            "label": file("label", key, label),
            "score": file("score", key, label),
            "filter": file("filter", key, kept),
        },
        num_windows=num_windows,
        num_utterances=2 * num_windows,
        hours=num_windows / 4,
    )


def manifest_of(
    entries: tuple[ManifestEntry, ...],
    by_corpus: Mapping[str, dict[str, Any]],
    *,
    number: int = 1,
    stage_versions: Mapping[str, int] = VERSIONS,
    versions: Mapping[str, str] | None = None,
    dropped: int = 3,
    missing: tuple[str, ...] = (),
) -> Manifest:
    fingerprints: dict[str, dict[str, str]] = {stage: {} for stage in VERSIONS}
    for corpus, values in by_corpus.items():
        upstream: list[str] = []
        for stage in VERSIONS:
            made = fingerprint(
                stage=stage, version=stage_versions[stage], corpus=corpus,
                parameters=values[stage], upstream=upstream,
            )  # fmt: skip
            fingerprints[stage][corpus] = made
            upstream = [made]
    content = Content(
        name="demo",
        entries=entries,
        fingerprints=fingerprints,
        parameters={
            corpus: {
                stage: {"version": stage_versions[stage], **values[stage]} for stage in VERSIONS
            }
            for corpus, values in by_corpus.items()
        },
        missing_shards=missing,
    )
    totals = Totals(
        shards=1, hours_heard=1, windows_heard=1, windows=1, utterances=1, hours=1,
        dropped={"wer": dropped, "too_long": 1},
    )  # fmt: skip
    return Manifest(
        number=number,
        parent=None,
        digest=content.digest(),
        published_at="now",
        root="r",
        versions=versions or {"torch": "1"},
        licences={},
        totals=dict.fromkeys([*by_corpus, "all"], totals),
        content=content,
    )


def both(**changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {"one": settings(**changes), "two": settings(**changes)}


FIRST = manifest_of((entry("one", 0), entry("one", 1), entry("two", 0)), both())


def causes(other: Manifest) -> set[tuple[str, str, Any, Any, tuple[str, ...]]]:
    found = difference(FIRST, other).causes
    return {(one.kind, one.what, one.before, one.after, one.corpora) for one in found}


def test_a_manifest_does_not_differ_from_itself() -> None:
    found = difference(FIRST, FIRST)
    assert (found.causes, found.left_out, found.changed) == ((), {}, ())
    assert found.only_before == found.only_after == ()
    for line in found.splits:
        assert line.before == line.after
        assert line.came == line.went == Amount()


def test_a_stricter_limit_removes_rows_from_the_same_shards() -> None:
    other = manifest_of(
        (entry("one", 0, 3, kept="b"), entry("one", 1, 5, kept="b"), entry("two", 0)),
        both(filter={"max_wer_percent": 5.0}),
        number=2,
        dropped=4,
    )
    found = difference(FIRST, other)
    assert (found.before, found.after) == (1, 2)
    [one, two] = found.splits
    assert (one.corpus, one.split) == ("one", "train")
    assert one.before == one.after == Amount(shards=2, windows=8, utterances=16, hours=2.0)
    assert one.went == one.came == Amount(windows=1, utterances=2, hours=0.25)
    assert two.went == two.came == Amount()
    assert causes(other) == {
        ("parameter", "filter.max_wer_percent", 10.0, 5.0, ("one", "two")),
    }
    assert [(str(shard.key), shard.stages) for shard in found.changed] == [
        ("one/train/00000", ("filter",)),
        ("one/train/00001", ("filter",)),
    ]
    assert found.left_out == {name: {"wer": 1} for name in ("one", "two", "all")}


def test_added_and_removed_corpora_and_shards_are_listed() -> None:
    other = manifest_of(
        (entry("one", 1), entry("one", 2), entry("new", 0)),
        {"one": settings(), "new": settings()},
    )
    found = difference(FIRST, other)
    assert causes(other) == {
        ("corpus", "added", None, None, ("new",)),
        ("corpus", "removed", None, None, ("two",)),
    }
    assert [str(key) for key in found.only_before] == ["one/train/00000", "two/train/00000"]
    assert [str(key) for key in found.only_after] == ["new/train/00000", "one/train/00002"]
    lines = {line.corpus: line for line in found.splits}
    assert lines["two"].went == lines["two"].before == Amount.of(entry("two", 0))
    assert lines["new"].came == lines["new"].after == Amount.of(entry("new", 0))
    assert lines["one"].came == lines["one"].went == Amount.of(entry("one", 0))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"plan": {"revision": "r2"}}, ("corpus", "plan.revision", "r1", "r2")),
        ({"plan": {"read_version": 2}}, ("code", "plan.read_version", 1, 2)),
        ({"score": {"clean_version": 3}}, ("code", "score.clean_version", 1, 3)),
        ({"score": {"normaliser_version": 2}}, ("code", "score.normaliser_version", 1, 2)),
        ({"label": {"language": None}}, ("parameter", "label.language", "en", None)),
        ({"label": {"teacher": {"hub": "c"}}}, ("parameter", "label.teacher.hub", "a/b", "c")),
        ({"filter": {"new_rule": 1}}, ("parameter", "filter.new_rule", None, 1)),
    ],
)
def test_a_changed_parameter_of_one_corpus_is_a_cause(
    changes: dict[str, dict[str, Any]], expected: tuple[object, ...]
) -> None:
    other = manifest_of(FIRST.content.entries, {"one": settings(**changes), "two": settings()})
    assert causes(other) == {(*expected, ("one",))}


def test_another_version_of_a_stage_is_a_cause() -> None:
    other = manifest_of(
        FIRST.content.entries, both(), stage_versions={**VERSIONS, "label": 3, "filter": 2}
    )
    assert causes(other) == {
        ("code", "label version", 2, 3, ("one", "two")),
        ("code", "filter version", 1, 2, ("one", "two")),
    }


def test_libraries_and_missing_shards_are_causes() -> None:
    other = manifest_of(
        FIRST.content.entries,
        both(),
        versions={"torch": "2", "soxr": "1"},
        missing=("label two/train/00001",),
    )
    assert causes(other) == {
        ("library", "torch", "1", "2", ()),
        ("library", "soxr", None, "1", ()),
        ("missing", "missing shards", 0, 1, ()),
    }


def test_a_changed_result_of_equal_input_is_attributed_to_its_first_stage() -> None:
    entries = (entry("one", 0, label="b", kept="b"), entry("one", 1), entry("two", 0))
    assert causes(manifest_of(entries, both())) == {("repeat", "label again", None, 1, ("one",))}
    settled = both(label={"language": "de"})
    assert {kind for kind, *_ in causes(manifest_of(entries, settled))} == {"parameter"}


def test_a_difference_survives_json() -> None:
    other = manifest_of((entry("one", 0, 3, kept="b"),), {"one": settings()}, number=2)
    found = difference(FIRST, other)
    assert Difference.model_validate_json(found.model_dump_json()) == found
    assert Cause(kind="library", what="torch").corpora == ()

"""Planning is deterministic and append-only."""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

import pyarrow as pa
import pytest

from storage.outcome import Rejected, dropped, quarantined
from storage.receipt import PlannedShard
from tasks.corpora.base import Member, Segment, Unplanned
from tasks.plan.schema import PLAN
from tasks.plan.shard import PlannedPart, plan_part, within

FILE = "raw/corpus/r1/archives/00000.train.tar"
DIGESTS = {FILE: "a" * 64, "raw/other.tar": "b" * 64}
HOUR_S = 3600.0


def segment(id: str, hours: float = 0.1, **changes: Any) -> Segment:
    """A segment named recording-number, whose recording is named speaker.talk."""
    recording = id.rsplit("-", 1)[0]
    member = Member(FILE, f"{recording}.flac", offset=512, size=1000, duration_s=None)
    return Segment(
        **{
            "id": id,
            "split": "train",
            "recording_id": recording,
            "speaker_id": recording.split(".")[0],
            "audio": member,
            "raw_text": f"text of {id}",
            "start_s": 0.0,
            "end_s": hours * HOUR_S,
            **changes,
        }
    )


def planned(items: Iterable[Segment | Unplanned], **changes: Any) -> PlannedPart:
    settings = {
        "split": "train",
        "known_ids": frozenset(),
        "first_shard": 0,
        "target_shard_hours": 1.0,
        "file_digests": DIGESTS,
    }
    return plan_part(items, **{**settings, **changes})


def ids_by_shard(part: PlannedPart) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for batch in part.outcomes:
        if isinstance(batch, pa.RecordBatch):
            [shard] = set(batch.column("shard").to_pylist())
            found[shard] = batch.column("id").to_pylist()
    return found


def rejected(part: PlannedPart) -> list[Rejected]:
    return [outcome for outcome in part.outcomes if isinstance(outcome, Rejected)]


def speakers(number: int, num_segments: int = 3, first: int = 0) -> list[Segment]:
    """Segments of `number` speakers with two recordings each, 0.6 h in total per speaker."""
    return [
        segment(f"s{speaker:02d}.{talk}-{index}")
        for speaker in range(first, first + number)
        for talk in "ab"
        for index in range(num_segments)
    ]


def test_the_order_of_the_segments_makes_no_difference() -> None:
    twice = segment("s01.a-1", raw_text="another text")
    items = [*speakers(7), twice, Unplanned(split="train", row=quarantined("x:3", "malformed"))]
    expected = planned(items)
    for seed in range(5):
        shuffled = random.Random(seed).sample(items, len(items))
        assert planned(shuffled) == expected


def test_every_segment_is_in_one_shard() -> None:
    items = speakers(7)
    found = ids_by_shard(planned(items))
    assert Counter(row_id for ids in found.values() for row_id in ids) == Counter(
        item.id for item in items
    )


def test_a_row_has_the_location_of_its_audio() -> None:
    item = segment("s.a-0", channel=1, start_s=1.5, end_s=2.5)
    [batch] = planned([item]).outcomes
    assert batch.schema == PLAN
    assert batch.to_pylist() == [
        {
            "shard": 0,
            "id": "s.a-0",
            "recording_id": "s.a",
            "speaker_id": "s",
            "file": FILE,
            "offset": 512,
            "size": 1000,
            "column": None,
            "row": None,
            "channel": 1,
            "start_s": 1.5,
            "end_s": 2.5,
            "pieces_s": None,
            "raw_text": "text of s.a-0",
        }
    ]


def test_a_shard_is_filled_with_speakers_up_to_its_hours() -> None:
    part = planned(speakers(7))
    owners = [{row_id.split(".")[0] for row_id in ids} for ids in ids_by_shard(part).values()]
    assert owners == [{"s00", "s01"}, {"s02", "s03"}, {"s04", "s05"}, {"s06"}]
    assert [shard.hours for shard in part.shards] == pytest.approx([1.2, 1.2, 1.2, 0.6])
    assert [shard.index for shard in part.shards] == [0, 1, 2, 3]
    assert [shard.num_rows for shard in part.shards] == [12, 12, 12, 6]


def test_a_speaker_larger_than_a_shard_is_split_between_recordings() -> None:
    items = [segment(f"s.{talk}-{index}", 0.4) for talk in "abcd" for index in range(2)]
    assert list(ids_by_shard(planned(items)).values()) == [
        ["s.a-0", "s.a-1", "s.b-0", "s.b-1"],
        ["s.c-0", "s.c-1", "s.d-0", "s.d-1"],
    ]


def test_a_recording_is_never_split_however_long() -> None:
    items = [segment(f"s.a-{index}", 0.9) for index in range(5)]
    assert [shard.hours for shard in planned(items).shards] == pytest.approx([4.5])


def test_without_a_speaker_the_recording_stays_together() -> None:
    items = [
        segment(f"talk{talk}-{index}", 0.5, speaker_id=None) for talk in "ab" for index in (1, 0)
    ]
    assert list(ids_by_shard(planned(items)).values()) == [
        ["talka-0", "talka-1"],
        ["talkb-0", "talkb-1"],
    ]


def test_the_two_sides_of_a_call_stay_together_and_side_by_side() -> None:
    items = [
        segment(
            f"call{call}-{side}{index}", 0.1, speaker_id=f"{side}{call}", channel="ab".index(side)
        )
        for index in range(2)
        for call in range(2)
        for side in "ab"
    ]
    assert ids_by_shard(planned(items, target_shard_hours=0.3)) == {
        0: ["call0-a0", "call0-a1", "call0-b0", "call0-b1"],
        1: ["call1-a0", "call1-a1", "call1-b0", "call1-b1"],
    }


def test_connected_speakers_stay_together_if_they_fit() -> None:
    pairs = {"x": ("ann", "ben"), "y": ("ben", "cem"), "z": ("dan", "eve")}
    items = [
        segment(f"{call}-{name}", 0.2, speaker_id=name)
        for call, names in pairs.items()
        for name in names
    ]
    assert ids_by_shard(planned(items, target_shard_hours=0.8)) == {
        0: ["x-ann", "x-ben", "y-ben", "y-cem"],
        1: ["z-dan", "z-eve"],
    }
    assert list(ids_by_shard(planned(items, target_shard_hours=0.4))) == [0, 1, 2]


def in_parquet(file: str, row: int, hours: float = 0.125) -> Segment:
    audio = Member(file, f"{file}#{row}", 0, 10**9, hours * HOUR_S, "audio", row)
    return segment(f"{file}-{row:03d}", audio=audio, start_s=0.0, end_s=None)


def test_files_with_their_own_annotations_are_planned_one_by_one() -> None:
    digests = {"0.parquet": "a" * 64, "1.parquet": "b" * 64, "2.parquet": "c" * 64}
    items = [in_parquet(file, row) for file in digests for row in range(12)]
    whole = planned(items, file_digests=digests, self_contained=True)
    assert [shard.num_rows for shard in whole.shards] == [8, 4, 8, 4, 8, 4]
    assert ids_by_shard(whole)[1] == [f"0.parquet-{row:03d}" for row in range(8, 12)]

    pilot = planned(items[:12], file_digests=digests, self_contained=True)
    rest = planned(
        items[12:],
        known_ids={item.id for item in items[:12]},
        first_shard=len(pilot.shards),
        file_digests=digests,
        self_contained=True,
    )
    assert pilot.shards + rest.shards == whole.shards


def joined(files: list[list[Segment]]) -> list[Segment]:
    return [item for file in files for item in file]


@pytest.mark.parametrize("num_first", [1, 2, 3, 4])
def test_files_planned_as_they_arrive_give_the_same_plan_as_all_at_once(num_first: int) -> None:
    """Whichever files are planned together, also where ids occur twice and three times."""
    digests = {f"{number}.parquet": str(number) * 64 for number in range(5)}
    files = [[in_parquet(file, row) for row in range(3)] for file in digests]
    twice = files[0][1].id
    for file in files[2:4]:
        file.append(dataclasses.replace(file[0], id=twice))
    whole = planned(joined(files), file_digests=digests, self_contained=True)
    assert [row.id for row in rejected(whole)] == [f"{twice}#2", f"{twice}#3"]

    first = planned(joined(files[:num_first]), file_digests=digests, self_contained=True)
    known = {item.id for item in joined(files[:num_first])} | {row.id for row in rejected(first)}
    rest = planned(
        joined(files[num_first:]),
        known_ids=known,
        first_shard=len(first.shards),
        file_digests=digests,
        self_contained=True,
    )
    assert first.shards + rest.shards == whole.shards
    assert rejected(first) + rejected(rest) == rejected(whole)


def test_segments_of_a_recording_are_sorted_by_time() -> None:
    items = [segment(f"s.a-{name}", start_s=start) for name, start in [("x", 9.0), ("y", 3.0)]]
    assert ids_by_shard(planned(items)) == {0: ["s.a-y", "s.a-x"]}


@pytest.mark.parametrize(
    ("duration_s", "size", "hours"), [(1800.0, 1, 0.5), (None, 16_000 * 3600, 1.0)]
)
def test_the_hours_of_a_whole_file_are_stated_or_estimated(
    duration_s: float | None, size: int, hours: float
) -> None:
    member = Member(FILE, "a.flac", 0, size, duration_s)
    part = planned([segment("s.a-0", audio=member, end_s=None)])
    assert part.shards[0].hours == pytest.approx(hours)


def test_later_segments_make_new_shards_and_change_no_others() -> None:
    items = speakers(5)
    first = planned(items)
    later = [*items, *speakers(2, first=9), *speakers(1, num_segments=5, first=2)]
    second = planned(
        random.Random(0).sample(later, len(later)),
        known_ids={item.id for item in items},
        first_shard=len(first.shards),
    )
    new = {item.id for item in later} - {item.id for item in items}
    assert {row_id for ids in ids_by_shard(second).values() for row_id in ids} == new
    assert [shard.index for shard in second.shards] == [3, 4]
    assert rejected(second) == []


def test_without_new_segments_there_is_no_new_shard() -> None:
    items = speakers(2)
    assert planned(items, known_ids={item.id for item in items}) == PlannedPart((), ())


def test_other_splits_are_ignored() -> None:
    items = [segment("s.a-0"), segment("s.b-0", split="dev")]
    reason = Unplanned(split="dev", row=dropped("x", "not_scored"))
    part = planned([*items, reason])
    assert ids_by_shard(part) == {0: ["s.a-0"]}
    assert rejected(part) == []


def test_unplanned_items_keep_their_reason() -> None:
    rows = [dropped("b", "not_scored"), quarantined("a", "no_audio", "talk.sph")]
    part = planned([Unplanned(split="train", row=row) for row in rows])
    assert rejected(part) == rows[::-1]
    assert part.shards == ()


def test_all_but_one_segment_of_an_id_are_quarantined() -> None:
    items = [segment("s.a-0", raw_text=text) for text in ("one", "two", "three")]
    unplanned = Unplanned(split="train", row=quarantined("s.a-0", "no_audio"))
    part = planned([unplanned, *items, segment("s.a-1")])
    assert ids_by_shard(part) == {0: ["s.a-0", "s.a-1"]}
    assert rejected(part) == [quarantined(f"s.a-0#{n}", "duplicate_id") for n in (2, 3, 4)]


def test_further_segments_of_an_id_skip_taken_names_and_count_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[int] = []

    def counted(first: int) -> Iterator[int]:
        for number in count(first):
            drawn.append(number)
            yield number

    monkeypatch.setattr("tasks.plan.shard.count", counted)
    part = planned([*[segment("a")] * 100, segment("a#3"), segment("b"), segment("b")])
    assert ids_by_shard(part) == {0: ["a", "a#3", "b"]}
    names = [f"a#{n}" for n in range(2, 102) if n != 3] + ["b#2"]
    assert {row.id for row in rejected(part)} == set(names)
    assert {row.reason for row in rejected(part)} == {"duplicate_id"}
    assert drawn == [*range(2, 102), 2]


def test_a_digest_does_not_depend_on_shard_number_and_path() -> None:
    [shard] = planned([segment("s.a-0")]).shards
    elsewhere = segment("s.a-0", audio=Member("mirror/x.tar", "s.a.flac", 512, 1000))
    [moved] = planned(
        [elsewhere], first_shard=7, file_digests={"mirror/x.tar": DIGESTS[FILE]}
    ).shards
    assert moved.digest == shard.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"raw_text": "other words"},
        {"start_s": 0.5},
        {"end_s": 100.0},
        {"end_s": None},
        {"channel": 1},
        {"pieces_s": ((0.0, 1.0), (2.0, 3.0))},
        {"speaker_id": None},
        {"audio": Member(FILE, "s.a.flac", 1024, 1000)},
        {"audio": Member(FILE, "s.a.flac", 512, 1001)},
        {"audio": Member("raw/other.tar", "s.a.flac", 512, 1000)},
    ],
    ids=str,
)
def test_a_digest_changes_with_the_rows_and_the_file(changes: dict[str, Any]) -> None:
    [before] = planned([segment("s.a-0")]).shards
    [after] = planned([segment("s.a-0", **changes)]).shards
    assert after.digest != before.digest


@pytest.mark.parametrize(
    ("limit_hours", "taken"),
    [(None, 4), (0.1, 1), (1.0, 1), (1.1, 2), (2.0, 2), (3.5, 4), (99.0, 4)],
)
def test_a_limit_takes_the_shortest_sufficient_prefix(
    limit_hours: float | None, taken: int
) -> None:
    shards = tuple(
        PlannedShard(index=index, digest="c" * 64, num_rows=1, hours=1.0) for index in range(4)
    )
    assert within(shards, limit_hours) == shards[:taken]


def test_rows_that_an_earlier_part_rejected_are_planned_once_they_are_valid() -> None:
    row = quarantined("s02.a-1", "no_audio")
    broken = [item for item in speakers(3) if item.id != row.id]
    bad = Unplanned(split="train", row=quarantined("talk:3", "malformed_line"))
    items = [*broken, Unplanned(split="train", row=row), bad]
    first = planned(items)
    assert rejected(first) == [row, bad.row]
    second = planned(
        [*speakers(3), bad],
        known_ids={item.id for item in speakers(3)} | {"talk:3"},
        rejected_ids={row.id, "talk:3"},
        first_shard=len(first.shards),
    )
    assert ids_by_shard(second) == {len(first.shards): [row.id]}
    assert rejected(second) == []


@pytest.mark.parametrize("self_contained", [False, True])
def test_an_id_belongs_to_its_segment_wherever_a_bad_row_has_it_too(self_contained: bool) -> None:
    good = in_parquet("0.parquet", 0)
    bad = Unplanned(split="train", row=quarantined(good.id, "no_audio"))
    for items in ([bad, good], [good, bad]):
        part = planned(items, file_digests={"0.parquet": "a" * 64}, self_contained=self_contained)
        assert ids_by_shard(part) == {0: [good.id]}
        assert rejected(part) == [quarantined(f"{good.id}#2", "duplicate_id")]


@pytest.mark.parametrize("duration_s", [float("nan"), float("inf"), -1.0, 0.0, 1e308])
def test_an_impossible_duration_is_estimated(duration_s: float) -> None:
    member = Member(FILE, "a.flac", 0, 16_000 * 3600, duration_s)
    part = planned([segment("s.a-0", audio=member, end_s=None)])
    assert part.shards[0].hours == pytest.approx(1.0)

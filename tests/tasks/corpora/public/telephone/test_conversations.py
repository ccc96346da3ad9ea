import pytest

from tasks.corpora.base import Member, Segment, Unplanned
from tasks.corpora.public.telephone.conversations import (
    CHANNELS,
    SPLITS,
    Turn,
    split_of,
    whole_words,
)

CALL = Member("calls", "sw02001.sph", 0, 10)


def segment_of(**changes: object) -> Segment | Unplanned:
    values: dict[str, object] = {"side": "B", "start_s": 1.0, "end_s": 2.0, "call": "sw02001"}
    turn = Turn(id="u", split="train", speaker_id="s", text="yes", **(values | changes))
    return turn.to_segment({"sw02001": CALL})


def test_a_side_is_a_channel_of_its_call() -> None:
    segment = segment_of()
    assert isinstance(segment, Segment)
    assert (segment.recording_id, segment.channel) == ("sw02001", CHANNELS["B"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"end_s": 1.0}, "reversed_times"), ({"call": "sw02002"}, "no_audio")],
)
def test_a_turn_without_time_or_audio_is_rejected(changes: dict[str, object], reason: str) -> None:
    item = segment_of(**changes)
    assert isinstance(item, Unplanned)
    assert (item.row.outcome, item.row.reason) == ("quarantined", reason)


@pytest.mark.parametrize("template", ["fe_03_{:05d}", "sw0{:04d}"])
def test_about_one_call_in_forty_is_held_out_for_each_purpose(template: str) -> None:
    splits = [split_of(template.format(number)) for number in range(9_000)]
    assert set(splits) == set(SPLITS)
    assert all(190 < splits.count(held_out) < 260 for held_out in ("dev", "test"))


def test_fragments_are_removed_and_hyphenated_words_kept() -> None:
    assert whole_words("i- i said uh-huh -ing -") == "i said uh-huh"

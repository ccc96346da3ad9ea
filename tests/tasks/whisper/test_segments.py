"""Where a label with timestamps ends, and where decoding continues: openai/whisper's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.whisper.decoding.rules import TimestampRules
from tasks.whisper.segments import Covered, extend

FIRST, NUM_STEPS = 100, 50
RULES = TimestampRules(
    first_id=FIRST, last_id=FIRST + NUM_STEPS, no_timestamps_id=99, end_id=90, max_initial_steps=5
)
NUM_FRAMES = 2 * NUM_STEPS


def at(steps: int) -> int:
    """The timestamp token of this many steps of 0.02 s."""
    return FIRST + steps


@pytest.mark.parametrize(
    ("new", "tokens", "num_segments", "end_s", "seek"),
    [
        # a single timestamp at the end: silence follows
        ([at(0), 1, 2, at(40)], [at(0), 1, 2, at(40)], 1, 0.8, None),
        # two: the next segment has begun, and is decoded again with what follows it
        ([at(0), 1, at(20), at(20)], [at(0), 1, at(20)], 1, 0.4, 40),
        ([at(0), 1, at(20), at(22), 2, 3], [at(0), 1, at(20)], 1, 0.4, 40),
        ([at(0), 1, at(9), at(9), 2, at(20), at(20)], [at(0), 1, at(9), at(9), 2, at(20)],
         2, 0.4, 40),
        # a pair inside and one timestamp at the end
        ([at(0), 1, at(9), at(9), 2, at(48)], [at(0), 1, at(9), at(9), 2, at(48)], 2, 0.96, None),
        # text that no timestamp closes
        ([at(0), 1, 2], [at(0), 1, 2], 1, None, None),
        # nothing at all, and a pair at the end of the audio
        ([], [], 0, None, None),
        ([at(0), 1, at(50), at(50)], [at(0), 1, at(50)], 1, 1.0, None),
    ],
)  # fmt: skip
def test_the_last_timestamps_decide_whether_decoding_continues(
    new: list[int], tokens: list[int], num_segments: int, end_s: float | None, seek: int | None
) -> None:
    label = extend(Covered(), new, RULES, NUM_FRAMES)
    assert list(label.tokens) == tokens
    assert label.num_segments == num_segments
    assert label.end_s == (None if end_s is None else pytest.approx(end_s))
    assert label.rest == (None if seek is None else Covered(seek, tuple(tokens)))


def test_a_continuation_is_appended_with_times_of_the_window() -> None:
    covered = Covered(40, (at(0), 1, at(20)))
    label = extend(covered, [at(1), 2, at(10), at(10), 3], RULES, NUM_FRAMES)
    assert label.tokens == (at(0), 1, at(20), at(21), 2, at(30))
    assert (label.num_segments, label.end_s) == (2, pytest.approx(0.6))
    assert label.rest == Covered(60, label.tokens)


def test_times_beyond_the_window_become_its_end() -> None:
    label = extend(Covered(40, (at(0), 1, at(20))), [at(0), 2, at(45)], RULES, NUM_FRAMES)
    assert label.tokens[-1] == at(50)
    assert label.rest is None


def test_silence_after_a_pair_adds_nothing() -> None:
    covered = Covered(40, (at(0), 1, at(20)))
    label = extend(covered, [], RULES, NUM_FRAMES)
    assert (label.tokens, label.rest) == (covered.tokens, None)
    assert label.end_s == pytest.approx(0.4)


def test_a_pair_of_an_earlier_part_is_not_counted_again() -> None:
    """The first timestamp of a continuation forms a pair with the last one before it."""
    covered = Covered(40, (at(0), 1, at(20)))
    label = extend(covered, [at(0), 2], RULES, NUM_FRAMES)
    assert label.tokens == (at(0), 1, at(20), at(20), 2)
    assert label.rest is None


@given(
    st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=4), min_size=1, max_size=30),
    st.integers(1, NUM_FRAMES),
)
def test_decoding_always_ends_and_time_never_goes_back(
    parts: list[list[int]], num_frames: int
) -> None:
    """Whatever a model writes under Whisper's rules, each continuation starts later."""
    covered = Covered()
    for lengths in parts:
        new, time = [], 0
        for length in lengths:
            start, time = time, min(time + length, NUM_STEPS)
            new += [at(start), 1, at(time)]
        label = extend(covered, [*new, at(time)], RULES, num_frames)
        times = [token for token in label.tokens if token >= FIRST]
        assert times == sorted(times)
        if label.rest is None:
            return
        assert covered.seek < label.rest.seek < num_frames
        covered = label.rest

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.outcome import Rejected, quarantined
from tasks.corpora.base import SpeakerIds
from tasks.label.windows import NUM_HELD, NUM_OPEN, Policy, Window, pack

SECOND = 16_000
WINDOW = 30 * SECOND


@dataclass(frozen=True)
class Speech:
    id: str
    num_samples: int
    speaker_id: str | None = "ann"
    recording_id: str = "tape"


Packed = list[Window[Speech] | Rejected]


def windows_of(packed: Packed) -> list[Window[Speech]]:
    return [one for one in packed if isinstance(one, Window)]


def ids(packed: Packed) -> list[list[str]]:
    return [[one.id for one in window.utterances] for window in windows_of(packed)]


def previous(packed: Packed) -> list[str | None]:
    return [window.previous_window_id for window in windows_of(packed)]


def of_lengths(*seconds: int, **more: str | None) -> list[Speech]:
    """Utterances a, b, c and so on, of these lengths."""
    return [Speech(chr(ord("a") + n), length * SECOND, **more) for n, length in enumerate(seconds)]


def test_utterances_of_one_speaker_share_windows() -> None:
    packed = list(pack(of_lengths(12, 12, 12, 12, 12), WINDOW, "speaker"))
    assert ids(packed) == [["a", "b"], ["c", "d"], ["e"]]
    assert [window.window_id for window in windows_of(packed)] == ["a+1", "c+1", "e"]
    assert previous(packed) == [None, "a+1", "c+1"]
    assert windows_of(packed)[0].offsets_s == [0.0, 12.0]


def test_an_utterance_goes_to_the_first_open_window_with_room() -> None:
    packed = list(pack(of_lengths(20, 25, 8, 4), WINDOW, "speaker"))
    assert ids(packed) == [["a", "c"], ["b", "d"]]
    assert windows_of(packed)[0].offsets_s == [0.0, 20.0]


def test_the_fullest_window_is_closed_for_a_new_one() -> None:
    lengths = (20, 25, 21, 22, 23)
    assert len(lengths) == NUM_OPEN + 1
    packed = list(pack([*of_lengths(*lengths), Speech("late", 10 * SECOND)], WINDOW, "speaker"))
    assert ids(packed) == [["b"], ["a", "late"], ["c"], ["d"], ["e"]]


def test_a_speaker_of_the_corpus_is_one_voice_in_all_recordings() -> None:
    speech = [
        Speech("a", SECOND),
        Speech("b", SECOND, speaker_id="bob"),
        Speech("c", SECOND),
        Speech("d", SECOND, recording_id="disc"),
    ]
    packed = list(pack(speech, WINDOW, "speaker"))
    assert ids(packed) == [["b"], ["a", "c", "d"]]
    assert previous(packed) == [None, None]
    packed = list(pack(speech, WINDOW, "speaker", "recording"))
    assert ids(packed) == [["b"], ["a", "c"], ["d"]]


def test_unknown_speakers_of_one_recording_share_windows() -> None:
    """Defect 2: without a speaker there is no previous window."""
    speech = [
        *of_lengths(12, 12, 12, speaker_id=None),
        Speech("known", SECOND),
        Speech("other", SECOND, speaker_id=None, recording_id="disc"),
    ]
    packed = list(pack(speech, WINDOW, "speaker"))
    assert ids(packed) == [["a", "b"], ["c"], ["known"], ["other"]]
    assert previous(packed) == [None] * 4


def test_the_same_speaker_id_in_two_recordings_can_be_two_people() -> None:
    speech = [Speech("a", SECOND), Speech("b", SECOND, recording_id="disc")]
    assert ids(list(pack(speech, WINDOW, "speaker", "recording"))) == [["a"], ["b"]]
    assert ids(list(pack(speech, WINDOW, "speaker", "corpus"))) == [["a", "b"]]


def test_any_shares_only_what_is_left_over_of_a_voice() -> None:
    ann = of_lengths(16, 14, 20)
    bob = [replace(one, id=one.id.upper(), speaker_id="bob") for one in of_lengths(16, 14, 8)]
    both = [one for pair in zip(ann, bob, strict=True) for one in pair]
    packed = list(pack(both, WINDOW, "any"))
    assert ids(packed) == [["a", "b"], ["A", "B"], ["c", "C"]]
    assert previous(packed) == [None, None, None]


def test_any_joins_utterances_of_which_nothing_is_known() -> None:
    """Defect 2: the text of several speakers is not the previous text of one."""
    speech = [replace(one, recording_id=one.id, speaker_id=None) for one in of_lengths(1, 2, 29, 3)]
    packed = list(pack(speech, WINDOW, "any"))
    assert ids(packed) == [["a", "b", "d"], ["c"]]
    assert previous(packed) == [None, None]
    assert ids(list(pack(speech, WINDOW, "speaker"))) == [["a"], ["b"], ["c"], ["d"]]


def test_none_packs_nothing_but_tracks_the_previous_window() -> None:
    packed = list(pack([Speech("a", SECOND), Speech("b", SECOND)], WINDOW, "none"))
    assert ids(packed) == [["a"], ["b"]]
    assert previous(packed) == [None, "a"]


def test_the_previous_window_ends_before_the_next_begins() -> None:
    packed = list(pack(of_lengths(20, 25, 8, 28), WINDOW, "speaker"))
    assert ids(packed) == [["a", "c"], ["b"], ["d"]]
    # a+1 overlaps with b in time, and of the two the end of a+1 is nearer to d
    assert previous(packed) == [None, None, "a+1"]


def test_a_window_of_several_recordings_has_no_previous_window_and_is_none() -> None:
    speech = [
        Speech("a", 28 * SECOND),
        Speech("b", 15 * SECOND),
        Speech("c", 14 * SECOND, recording_id="disc"),
        Speech("d", 28 * SECOND, recording_id="disc"),
    ]
    packed = list(pack(speech, WINDOW, "speaker"))
    assert ids(packed) == [["a"], ["b", "c"], ["d"]]
    assert previous(packed) == [None, None, None]


@pytest.mark.parametrize("num_utterances", [1, 2, 3, 7])
def test_the_last_window_is_not_lost(num_utterances: int) -> None:
    """Defect 3: the last, partly filled batch was lost."""
    speech = [Speech(f"u{index}", 20 * SECOND) for index in range(num_utterances)]
    assert len(list(pack(speech, WINDOW, "speaker"))) == num_utterances


@pytest.mark.parametrize("lengths", [[WINDOW], [WINDOW - 1, 1], [10 * SECOND] * 3])
def test_a_window_may_be_exactly_full(lengths: list[int]) -> None:
    """Defect 8: a strict comparison dropped a pack of exactly 30.0 s."""
    speech = [Speech(f"u{index}", length) for index, length in enumerate(lengths)]
    [window] = windows_of(list(pack(speech, WINDOW, "speaker")))
    assert window.num_samples == WINDOW


def test_an_utterance_longer_than_a_window_is_dropped_not_cut() -> None:
    """Defect 9: it was cut, but kept its full reference."""
    packed = list(pack([Speech("a", SECOND), Speech("b", WINDOW + 1)], WINDOW, "speaker"))
    assert [one for one in packed if isinstance(one, Rejected)] == [
        Rejected("b", "dropped", "longer_than_window", "30.0001 s > 30 s")
    ]
    assert ids(packed) == [["a"]]


def test_rejected_rows_pass_through() -> None:
    broken = quarantined("b", "unreadable_audio")
    packed = list(pack([Speech("a", SECOND), broken, Speech("c", SECOND)], WINDOW, "speaker"))
    assert broken in packed
    assert ids(packed) == [["a", "c"]]


def test_a_full_window_is_yielded_at_once() -> None:
    taken: list[int] = []

    def speech() -> Iterator[Speech]:
        for index in range(100):
            taken.append(index)
            yield Speech(f"u{index}", 10 * SECOND)

    next(pack(speech(), WINDOW, "speaker"))
    assert len(taken) == 3


@pytest.mark.parametrize(
    ("policy", "num_held"), [("speaker", NUM_HELD), ("any", NUM_HELD + NUM_OPEN)]
)
def test_open_windows_hold_a_bounded_amount_of_audio(policy: Policy, num_held: int) -> None:
    """Thousands of speakers in turn: memory does not grow with their number."""
    taken: list[Speech] = []

    def speech() -> Iterator[Speech]:
        for index in range(20 * NUM_HELD):
            taken.append(
                Speech(f"u{index}", 14 * SECOND, f"speaker {index % 500}", f"tape {index}")
            )
            yield taken[-1]

    num_yielded, most_held = 0, 0
    for window in pack(speech(), WINDOW, policy):
        assert isinstance(window, Window)
        num_yielded += len(window.utterances)
        most_held = max(most_held, len(taken) - num_yielded)
    assert num_yielded == 20 * NUM_HELD
    assert NUM_HELD < most_held <= num_held * WINDOW // (14 * SECOND)


def test_the_voice_that_has_not_spoken_for_longest_ends_first() -> None:
    speech = [
        Speech("old", 20 * SECOND, "old"),
        *(Speech(f"u{n}", 29 * SECOND, f"speaker {n}") for n in range(NUM_HELD - 1)),
        Speech("new", 29 * SECOND, "old"),
        Speech("more", SECOND, "more"),
        Speech("again", 12 * SECOND, "more"),
    ]
    packed = ids(list(pack(speech, WINDOW, "speaker")))
    assert packed[0] == ["u0"]
    assert ["old"] in packed and ["new"] in packed


utterances = st.lists(
    st.builds(
        Speech,
        id=st.just("?"),
        num_samples=st.integers(1, 40),
        speaker_id=st.sampled_from(["ann", "bob", None]),
        recording_id=st.sampled_from(["tape", "disc"]),
    ),
    max_size=200,
).map(lambda found: [replace(one, id=f"u{n}") for n, one in enumerate(found)])


@given(
    utterances,
    st.sampled_from(["none", "speaker", "any"]),
    st.sampled_from(["corpus", "recording"]),
)
def test_every_utterance_is_in_one_window(
    speech: list[Speech], policy: Policy, speaker_ids: SpeakerIds
) -> None:
    packed = list(pack(speech, 30, policy, speaker_ids))
    windows = windows_of(packed)
    positions = {one.id: position for position, one in enumerate(speech)}
    kept = [utterance for window in windows for utterance in window.utterances]
    assert Counter(kept) == Counter(one for one in speech if one.num_samples <= 30)
    assert {one.id for one in packed if isinstance(one, Rejected)} == {
        one.id for one in speech if one.num_samples > 30
    }
    assert all(window.num_samples <= 30 for window in windows)
    names = [window.window_id for window in windows]
    assert len(set(names)) == len(names)
    for index, window in enumerate(windows):
        order = [positions[one.id] for one in window.utterances]
        assert order == sorted(order)
        if policy == "none":
            assert len(order) == 1
        if policy == "speaker":
            assert len({voice(one, speaker_ids) for one in window.utterances}) == 1
        if window.previous_window_id is not None:
            before = windows[names[:index].index(window.previous_window_id)]
            both = {(one.recording_id, one.speaker_id) for one in before.utterances}
            both |= {(one.recording_id, one.speaker_id) for one in window.utterances}
            assert len(both) == 1 and both.pop()[1] is not None
            assert positions[before.utterances[-1].id] < order[0]


def voice(utterance: Speech, speaker_ids: SpeakerIds) -> tuple[str | None, ...]:
    is_anywhere = speaker_ids == "corpus" and utterance.speaker_id is not None
    return (None if is_anywhere else utterance.recording_id, utterance.speaker_id)


@given(utterances, st.sampled_from(["speaker", "any"]))
def test_the_result_depends_on_the_utterances_alone(speech: list[Speech], policy: Policy) -> None:
    assert list(pack(speech, 30, policy)) == list(pack(iter(speech), 30, policy))

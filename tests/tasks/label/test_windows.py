from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.outcome import Rejected, quarantined
from tasks.label.windows import Window, pack

SECOND = 16_000
WINDOW = 30 * SECOND


@dataclass(frozen=True)
class Speech:
    id: str
    num_samples: int
    speaker_id: str | None = "ann"
    recording_id: str = "tape"


def ids(packed):
    return [
        [one.id for one in window.utterances] for window in packed if isinstance(window, Window)
    ]


def previous(packed):
    return [window.previous_window_id for window in packed if isinstance(window, Window)]


def test_neighbours_of_one_speaker_share_windows():
    speech = [Speech(name, 12 * SECOND) for name in "abcde"]
    packed = list(pack(speech, WINDOW, "speaker"))
    assert ids(packed) == [["a", "b"], ["c", "d"], ["e"]]
    assert [window.window_id for window in packed] == ["a+1", "c+1", "e"]
    assert previous(packed) == [None, "a+1", "c+1"]
    assert packed[0].offsets_s == [0.0, 12.0]


def test_another_speaker_or_recording_starts_a_new_window():
    speech = [
        Speech("a", SECOND),
        Speech("b", SECOND, speaker_id="bob"),
        Speech("c", SECOND),
        Speech("d", SECOND, recording_id="disc"),
    ]
    packed = list(pack(speech, WINDOW, "speaker"))
    assert ids(packed) == [["a"], ["b"], ["c"], ["d"]]
    assert previous(packed) == [None, None, "a", None]


def test_unknown_speakers_never_share_a_window():
    """Defect 2: without a speaker there is no sharing and no previous window."""
    speech = [Speech(name, SECOND, speaker_id=None) for name in "abc"]
    packed = list(pack(speech, WINDOW, "speaker"))
    assert ids(packed) == [["a"], ["b"], ["c"]]
    assert previous(packed) == [None, None, None]


def test_any_packs_across_speakers_without_a_previous_window():
    """Defect 2: the text of several speakers is not the previous text of one."""
    speech = [Speech("a", SECOND), Speech("b", SECOND, speaker_id=None), Speech("c", 29 * SECOND)]
    packed = list(pack(speech, WINDOW, "any"))
    assert ids(packed) == [["a", "b"], ["c"]]
    assert previous(packed) == [None, None]


def test_none_packs_nothing_but_tracks_the_previous_window():
    packed = list(pack([Speech("a", SECOND), Speech("b", SECOND)], WINDOW, "none"))
    assert ids(packed) == [["a"], ["b"]]
    assert previous(packed) == [None, "a"]


@pytest.mark.parametrize("num_utterances", [1, 2, 3, 7])
def test_the_last_window_is_not_lost(num_utterances):
    """Defect 3: the last, partly filled batch was lost."""
    speech = [Speech(f"u{index}", 20 * SECOND) for index in range(num_utterances)]
    assert len(list(pack(speech, WINDOW, "speaker"))) == num_utterances


@pytest.mark.parametrize("lengths", [[WINDOW], [WINDOW - 1, 1], [10 * SECOND] * 3])
def test_a_window_may_be_exactly_full(lengths):
    """Defect 8: a strict comparison dropped a pack of exactly 30.0 s."""
    speech = [Speech(f"u{index}", length) for index, length in enumerate(lengths)]
    (window,) = pack(speech, WINDOW, "speaker")
    assert window.num_samples == WINDOW


def test_an_utterance_longer_than_a_window_is_dropped_not_cut():
    """Defect 9: it was cut, but kept its full reference."""
    packed = list(pack([Speech("a", SECOND), Speech("b", WINDOW + 1)], WINDOW, "speaker"))
    assert [one for one in packed if isinstance(one, Rejected)] == [
        Rejected("b", "dropped", "longer_than_window", "30.0001 s > 30 s")
    ]
    assert ids(packed) == [["a"]]


def test_rejected_rows_pass_through():
    broken = quarantined("b", "unreadable_audio")
    packed = list(pack([Speech("a", SECOND), broken, Speech("c", SECOND)], WINDOW, "speaker"))
    assert broken in packed
    assert ids(packed) == [["a", "c"]]


def test_windows_are_yielded_before_all_utterances_are_read():
    taken = []

    def speech():
        for index in range(100):
            taken.append(index)
            yield Speech(f"u{index}", 20 * SECOND)

    next(pack(speech(), WINDOW, "any"))
    assert len(taken) == 2


utterances = st.lists(
    st.builds(
        Speech,
        id=st.just("?"),
        num_samples=st.integers(1, 40),
        speaker_id=st.sampled_from(["ann", "bob", None]),
        recording_id=st.sampled_from(["tape", "disc"]),
    )
).map(lambda found: [Speech(f"u{n}", *list(vars(s).values())[1:]) for n, s in enumerate(found)])


@given(utterances, st.sampled_from(["none", "speaker", "any"]))
def test_nothing_is_lost_and_no_window_overflows(speech, policy):
    packed = list(pack(speech, 30, policy))
    windows = [one for one in packed if isinstance(one, Window)]
    kept = [utterance for window in windows for utterance in window.utterances]
    assert kept == [one for one in speech if one.num_samples <= 30]
    assert {one.id for one in packed if isinstance(one, Rejected)} == {
        one.id for one in speech if one.num_samples > 30
    }
    assert all(window.num_samples <= 30 for window in windows)
    names = [window.window_id for window in windows]
    assert len(set(names)) == len(names)
    for index, window in enumerate(windows):
        voices = {(one.recording_id, one.speaker_id) for one in window.utterances}
        if policy == "speaker" and len(window.utterances) > 1:
            assert len(voices) == 1
            assert window.utterances[0].speaker_id is not None
        if window.previous_window_id is not None:
            before = windows[names[:index].index(window.previous_window_id)]
            assert {(one.recording_id, one.speaker_id) for one in before.utterances} == voices

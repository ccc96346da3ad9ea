"""Results in any order are returned in the order of the stream, and nothing is lost."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import Label, Teacher
from storage.errors import ShardError
from storage.outcome import Rejected, dropped
from tasks.whisper.engine import AudioWindow, DecodingResult
from tasks.whisper.segments import Covered
from tasks.whisper.transcribe import transcribe_all
from tests.tasks.whisper.fake_engine import FakeEngine, decoded, transcribe_as_id

SETTINGS = Label(teacher=Teacher(path="unused"), temperatures=(0.0, 0.2, 0.4))
SILENCE = np.zeros(10, np.float32)


def stream(num_windows, rejected=()):
    for index in range(num_windows):
        if index in rejected:
            yield dropped(str(index), "longer_than_window")
        else:
            yield index, AudioWindow(str(index), SILENCE)


def failing(*ids):
    """A transcription that fails the quality checks of the given windows at temperature 0."""

    def transcribe(window, temperature):
        fails = window.id in ids and temperature == 0
        return decoded(window.id, avg_logprob=-2.0 if fails else -0.1)

    return transcribe


def indices(found):
    return [int(one.id) if isinstance(one, Rejected) else one[0] for one in found]


@given(
    num_windows=st.integers(0, 60),
    num_slots=st.integers(1, 70),
    rejected=st.sets(st.integers(0, 59)),
    failed=st.sets(st.integers(0, 59)),
    max_pending=st.integers(1, 20),
)
def test_results_have_the_order_of_the_stream(
    num_windows, num_slots, rejected, failed, max_pending
):
    """Defect 3: the last, partly filled batch was lost."""
    engine = FakeEngine(failing(*map(str, failed)), num_slots)
    windows = stream(num_windows, rejected)
    found = list(transcribe_all(engine, windows, SETTINGS, max_pending=max_pending))
    assert indices(found) == list(range(num_windows))
    for one in found:
        if isinstance(one, Rejected):
            assert int(one.id) in rejected
        else:
            index, transcript = one
            assert transcript.text == str(index)
            assert transcript.temperature == (0.2 if index in failed else 0.0)


def test_transcripts_are_yielded_before_all_windows_are_read():
    taken = []

    def watched():
        for one in stream(1_000):
            taken.append(one)
            yield one

    found = transcribe_all(FakeEngine(num_slots=4), watched(), SETTINGS)
    next(found)
    assert len(taken) < 40


@pytest.mark.parametrize("stalls", ["takes long", "fails"])
def test_the_engine_stays_within_the_reorder_buffer(stalls):
    """However long the shard is: a slow or failing window blocks the windows after it."""
    taken = []

    def watched():
        for one in stream(300):
            taken.append(one)
            yield one

    class Stalling(FakeEngine):
        def transcribe(self, windows, settings):
            windows = iter(windows)
            first = next(windows, None)
            if stalls == "fails" and first is not None:
                first = yield first, decoded(avg_logprob=-2.0)
            yield from super().transcribe(windows, settings)
            if first is not None:
                yield first, decoded("at last")

    found = transcribe_all(Stalling(), watched(), SETTINGS, max_pending=20)
    ahead = 0
    for num_out, _ in enumerate(found):
        ahead = max(ahead, len(taken) - num_out)
    assert num_out + 1 == 300
    assert 20 <= ahead <= 21


def test_a_failed_window_is_retried_together_with_new_ones():
    engine = FakeEngine(failing("3"), num_slots=4)
    assert indices(transcribe_all(engine, stream(200), SETTINGS)) == list(range(200))
    taken = engine.taken
    assert taken.index((0.2, "3")) < taken.index((0.0, "30"))
    assert len(taken) == 201


def test_retries_end_when_a_check_passes_or_temperatures_run_out():
    passes_at = {"0": 0.2, "1": 0.4, "2": 0.6}

    def transcribe(window, temperature):
        return decoded(f"{window.id} at {temperature}", has_end=temperature >= passes_at[window.id])

    found = dict(transcribe_all(FakeEngine(transcribe), stream(3), SETTINGS))
    assert [(one.text, one.temperature, one.flags) for _, one in sorted(found.items())] == [
        ("0 at 0.2", 0.2, ()), ("1 at 0.4", 0.4, ()), ("2 at 0.4", 0.4, ("no_end",)),
    ]  # fmt: skip


def test_a_single_temperature_means_no_retries():
    engine = FakeEngine(failing("1"))
    once = SETTINGS.model_copy(update={"temperatures": (0.0,)})
    found = list(transcribe_all(engine, stream(3), once))
    assert [transcript.flags for _, transcript in found] == [(), ("avg_logprob",), ()]
    assert engine.taken == [(0.0, "0"), (0.0, "1"), (0.0, "2")]


def test_an_engine_that_loses_a_window_is_an_error():
    class Forgetful(FakeEngine):
        def transcribe(self, windows, settings):
            for pair in super().transcribe(windows, settings):
                if pair[0].id != "2":
                    yield pair

    with pytest.raises(ShardError, match=r"did not return 1 of its windows, the first is '2'"):
        list(transcribe_all(Forgetful(), stream(4), SETTINGS))


def test_an_engine_that_returns_a_window_twice_is_an_error():
    class Eager(FakeEngine):
        def transcribe(self, windows, settings):
            for pair in super().transcribe(windows, settings):
                yield pair
                yield pair

    with pytest.raises(ShardError, match="twice, or was never given it"):
        list(transcribe_all(Eager(), stream(4), SETTINGS))


def test_duplicate_window_ids_are_an_error():
    twice = iter([(0, AudioWindow("a", SILENCE)), (1, AudioWindow("a", SILENCE))])
    with pytest.raises(ShardError, match="two windows have the id 'a'"):
        list(transcribe_all(FakeEngine(), twice, SETTINGS))


@pytest.mark.parametrize("transcribe", [transcribe_as_id, failing("0", "17", "1000")])
def test_memory_does_not_grow_with_the_stream(transcribe):
    def peak_bytes(num_windows):
        windows = (
            (index, AudioWindow(str(index), np.zeros(8_000, np.float32)))
            for index in range(num_windows)
        )
        tracemalloc.start()
        try:
            for _ in transcribe_all(
                FakeEngine(transcribe, records=False), windows, SETTINGS, max_pending=500
            ):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak_bytes(5_000) < 1.1 * peak_bytes(1_000)


def parts_of(window: AudioWindow, temperature: float) -> DecodingResult:
    """Each window is decoded in three parts of one letter."""
    text = "abc"[: len(window.covered.tokens) + 1]
    rest = None if len(text) == 3 else Covered(10 * len(text), tuple(map(ord, text)))
    return decoded(text, rest=rest, end_s=None)


def test_a_window_is_decoded_until_all_of_it_is_covered():
    found = list(transcribe_all(FakeEngine(parts_of), stream(20), SETTINGS))
    assert indices(found) == list(range(20))
    assert {transcript.text for _, transcript in found} == {"abc"}


def test_each_part_falls_back_by_itself_and_starts_again_at_the_first_temperature():
    attempts = []

    def transcribe(window, temperature):
        attempts.append((window.covered.seek, temperature))
        result = parts_of(window, temperature)
        fails = window.covered.seek == 10 and temperature == 0
        return dataclasses.replace(result, avg_logprob=-2.0) if fails else result

    ((_, transcript),) = transcribe_all(FakeEngine(transcribe), stream(1), SETTINGS)
    assert attempts == [(0, 0.0), (10, 0.0), (10, 0.2), (20, 0.0)]
    assert (transcript.text, transcript.temperature, transcript.flags) == ("abc", 0.2, ())


def test_silence_is_not_continued():
    def transcribe(window, temperature):
        result = parts_of(window, temperature)
        if window.covered.seek < 10:
            return result
        return dataclasses.replace(result, avg_logprob=-2.0, no_speech_prob=0.9)

    ((_, transcript),) = transcribe_all(FakeEngine(transcribe), stream(1), SETTINGS)
    assert (transcript.text, transcript.flags) == ("a", ())

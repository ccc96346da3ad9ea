"""Whisper's own checks, at their very limits, and what becomes of those that fail them."""

import numpy as np
import pytest
from pydantic import ValidationError

from configs.schema import Label, Teacher
from tasks.label.engine import Sound
from tasks.label.safety import compression_ratio, hear_again, transcript_of
from tests.tasks.label.fake_engine import FakeEngine, heard

SETTINGS = Label(teacher=Teacher(path="unused"))
LOOP = "no no no no " * 30
SOUNDS = [Sound(name, np.zeros(1, np.float32)) for name in "abc"]


@pytest.mark.parametrize(
    ("found", "flags", "is_trusted"),
    [
        (heard("the boat"), (), True),
        (heard(LOOP), ("compression_ratio",), False),
        (heard("the boat", avg_logprob=-1.0), (), True),
        (heard("the boat", avg_logprob=-1.01), ("avg_logprob",), False),
        (heard("the boat", avg_logprob=-1.01, no_speech_prob=0.6), ("avg_logprob",), False),
        (heard("the boat", avg_logprob=-1.01, no_speech_prob=0.61), ("no_speech",), True),
        (heard("the boat", no_speech_prob=0.99), (), True),
        (heard("the boat", has_end=False), ("no_end",), False),
        (heard(LOOP, avg_logprob=-3.0, has_end=False), ("compression_ratio", "avg_logprob",
                                                         "no_end"), False),
        (heard(LOOP, avg_logprob=-3.0, no_speech_prob=0.9), ("compression_ratio", "no_speech"),
         True),
    ],
)  # fmt: skip
def test_checks_and_their_limits(found, flags, is_trusted):
    transcript = transcript_of(found, SETTINGS, 0.0)
    assert transcript.flags == flags
    assert transcript.is_trusted is is_trusted


def test_limits_are_settings():
    strict = SETTINGS.model_copy(
        update={"min_avg_logprob": -0.05, "max_compression_ratio": 0.4, "max_no_speech_prob": 0.2}
    )
    assert transcript_of(heard("the boat"), strict, 0.0).flags == (
        "compression_ratio",
        "avg_logprob",
    )
    assert "no_speech" in transcript_of(heard("the boat", no_speech_prob=0.3), strict, 0.0).flags


def test_each_is_heard_again_until_it_passes():
    passes_at = {"a": 0.2, "b": 0.6, "c": 0.2}

    def answer(sound, temperature):
        passes = temperature >= passes_at[sound.id]
        return heard(f"{sound.id} at {temperature}", has_end=passes)

    engine = FakeEngine(answer)
    found = {sound.id: transcript for sound, transcript in hear_again(engine, SOUNDS, SETTINGS)}
    assert {name: one.temperature for name, one in found.items()} == passes_at
    assert {name: one.text for name, one in found.items()} == {
        "a": "a at 0.2", "b": "b at 0.6", "c": "c at 0.2",
    }  # fmt: skip
    assert [(temperature, sorted(ids)) for temperature, ids in engine.calls] == [
        (0.2, ["a", "b", "c"]), (0.4, ["b"]), (0.6, ["b"]),
    ]  # fmt: skip


def test_where_none_passes_the_last_attempt_stands_with_its_flags():
    engine = FakeEngine(lambda sound, temperature: heard(f"{temperature}", avg_logprob=-5.0))
    found = {sound.id: transcript for sound, transcript in hear_again(engine, SOUNDS, SETTINGS)}
    assert found.keys() == {"a", "b", "c"}
    for transcript in found.values():
        assert (transcript.text, transcript.temperature) == ("1.0", 1.0)
        assert transcript.flags == ("avg_logprob",)


def test_a_loop_compresses_well():
    assert compression_ratio(LOOP) > 2.4
    assert compression_ratio("the boat was very small") < 1
    assert compression_ratio("") == 0


@pytest.mark.parametrize("temperatures", [[], [0.2, 0.4], [0.0, 0.4, 0.2], [0.0, 0.0]])
def test_temperatures_begin_greedily_and_rise(temperatures):
    with pytest.raises(ValidationError, match="temperatures"):
        Label(teacher=Teacher(path="unused"), temperatures=temperatures)


def test_a_model_of_letters_samples_nothing():
    with pytest.raises(ValidationError, match=r"set temperatures: \[0.0\]"):
        Label(teacher=Teacher(path="unused"), engine="ctc")

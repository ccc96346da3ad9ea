"""Whisper's quality checks at their exact thresholds, and temperature fallback."""

import pytest
from pydantic import ValidationError

from configs.schema import Label, Teacher
from tasks.whisper.quality import check_quality, compression_ratio, next_temperature
from tests.tasks.whisper.fake_engine import decoded

SETTINGS = Label(teacher=Teacher(path="unused"))
LOOP = "no no no no " * 30


@pytest.mark.parametrize(
    ("found", "flags", "is_accepted"),
    [
        (decoded("the boat"), (), True),
        (decoded(LOOP), ("compression_ratio",), False),
        (decoded("the boat", avg_logprob=-1.0), (), True),
        (decoded("the boat", avg_logprob=-1.01), ("avg_logprob",), False),
        (decoded("the boat", avg_logprob=-1.01, no_speech_prob=0.6), ("avg_logprob",), False),
        (decoded("the boat", avg_logprob=-1.01, no_speech_prob=0.61), ("no_speech",), True),
        (decoded("the boat", no_speech_prob=0.99), (), True),
        (decoded("the boat", has_end=False), ("no_end",), False),
        (decoded(LOOP, avg_logprob=-3.0, has_end=False), ("compression_ratio", "avg_logprob",
                                                         "no_end"), False),
        (decoded(LOOP, avg_logprob=-3.0, no_speech_prob=0.9), ("compression_ratio", "no_speech"),
         True),
    ],
)  # fmt: skip
def test_quality_checks_and_their_thresholds(found, flags, is_accepted):
    transcript = check_quality(found, SETTINGS, 0.0)
    assert transcript.flags == flags
    assert transcript.is_accepted is is_accepted


def test_thresholds_are_settings():
    strict = SETTINGS.model_copy(
        update={"min_avg_logprob": -0.05, "max_compression_ratio": 0.4, "max_no_speech_prob": 0.2}
    )
    assert check_quality(decoded("the boat"), strict, 0.0).flags == (
        "compression_ratio",
        "avg_logprob",
    )
    assert "no_speech" in check_quality(decoded("the boat", no_speech_prob=0.3), strict, 0.0).flags


@pytest.mark.parametrize(
    ("found", "temperature", "expected"),
    [
        (decoded("the boat"), 0.0, None),
        (decoded("the boat", has_end=False), 0.0, 0.2),
        (decoded("the boat", has_end=False), 0.8, 1.0),
        (decoded("the boat", has_end=False), 1.0, None),
        (decoded("the boat", avg_logprob=-3.0, no_speech_prob=0.9), 0.0, None),
    ],
)
def test_a_failed_check_leads_to_the_next_temperature_until_the_last(found, temperature, expected):
    transcript = check_quality(found, SETTINGS, temperature)
    assert next_temperature(transcript, SETTINGS) == expected


def test_a_single_temperature_means_no_retries():
    once = SETTINGS.model_copy(update={"temperatures": (0.0,)})
    assert next_temperature(check_quality(decoded(LOOP), once, 0.0), once) is None


def test_a_loop_compresses_well():
    assert compression_ratio(LOOP) > 2.4
    assert compression_ratio("the boat was very small") < 1
    assert compression_ratio("") == 0


@pytest.mark.parametrize("temperatures", [[], [0.2, 0.4], [0.0, 0.4, 0.2], [0.0, 0.0]])
def test_temperatures_must_start_at_zero_and_increase(temperatures):
    with pytest.raises(ValidationError, match="temperatures"):
        Label(teacher=Teacher(path="unused"), temperatures=temperatures)


def test_a_ctc_engine_takes_a_single_temperature():
    with pytest.raises(ValidationError, match=r"set temperatures: \[0.0\]"):
        Label(teacher=Teacher(path="unused"), engine="ctc")

"""Whisper's quality checks at their exact thresholds, and temperature fallback."""

import numpy as np
import pytest
from pydantic import ValidationError

from configs.schema import Label, Teacher
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.whisper.engine import AudioWindow
from tasks.whisper.excerpt import Excerpt
from tasks.whisper.quality import check_quality, compression_ratio, continued, next_temperature
from tasks.whisper.segments import Covered
from tests.tasks.whisper.fake_engine import decoded

SETTINGS = Label(teacher=Teacher(path="unused"))
LOOP = "no no no no " * 30


def window(temperature: float = 0.0) -> AudioWindow:
    return AudioWindow("one", np.zeros(16_000, np.float32), temperature)


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
    transcript = check_quality(found, SETTINGS, window())
    assert transcript.flags == flags
    assert transcript.is_accepted is is_accepted


def test_thresholds_are_settings():
    strict = SETTINGS.model_copy(
        update={"min_avg_logprob": -0.05, "max_compression_ratio": 0.4, "max_no_speech_prob": 0.2}
    )
    assert check_quality(decoded("the boat"), strict, window()).flags == (
        "compression_ratio",
        "avg_logprob",
    )
    assert (
        "no_speech"
        in check_quality(decoded("the boat", no_speech_prob=0.3), strict, window()).flags
    )


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
    transcript = check_quality(found, SETTINGS, window(temperature))
    assert next_temperature(transcript, SETTINGS) == expected


def test_a_single_temperature_means_no_retries():
    once = SETTINGS.model_copy(update={"temperatures": (0.0,)})
    assert next_temperature(check_quality(decoded(LOOP), once, window()), once) is None


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


@pytest.fixture(scope="module")
def talk() -> AudioWindow:
    """Speech with a second of silence after it."""
    random = np.random.default_rng(0)
    parts = [pcm16(utterance("ann", random, None).samples) for _ in range(3)]
    samples = np.concatenate([*parts, np.zeros(16_000, np.int16)]).astype(np.float32) / 32_768
    return AudioWindow("talk", samples)


def seconds(window: AudioWindow) -> float:
    return len(window.samples) / 16_000


def test_a_label_must_not_end_more_than_a_second_of_speech_early(talk):
    end_s = seconds(talk) - 1.0
    for missing_s, flags in [(0.0, ()), (0.5, ()), (3.0, ("early_end",))]:
        result = decoded("the boat", end_s=end_s - missing_s)
        assert check_quality(result, SETTINGS, talk).flags == flags


def test_only_speech_counts_as_missing(talk):
    silent = AudioWindow("silent", np.zeros(80_000, np.float32))
    assert check_quality(decoded("the boat", end_s=1.0), SETTINGS, silent).flags == ()


def test_an_open_or_incomplete_label_does_not_end_early(talk):
    for result in (
        decoded("the boat", end_s=None),
        decoded("the boat", end_s=1.0, rest=Covered(100, (1, 2))),
    ):
        assert check_quality(result, SETTINGS, talk).flags == ()


def test_excerpts_have_the_checks_of_openai_whisper_alone(talk):
    excerpt = Excerpt(talk.samples[:0], talk.samples[:0], peak=0.0)
    one = AudioWindow("one", talk.samples, excerpt=excerpt)
    early = decoded("the boat", has_end=False, end_s=0.1, avg_logprob=-1.01)
    assert check_quality(early, SETTINGS, one).flags == ("avg_logprob",)


def test_an_early_end_is_retried_even_if_the_rest_seems_silent(talk):
    """A continuation that is taken for silence ends the label where it began."""
    rest = AudioWindow(talk.id, talk.samples, covered=Covered(100, (1, 2)))
    result = decoded("", avg_logprob=-2.0, no_speech_prob=0.9, end_s=None)
    transcript = check_quality(result, SETTINGS, rest)
    assert transcript.flags == ("early_end", "no_speech")
    assert next_temperature(transcript, SETTINGS) == 0.2
    assert check_quality(result, SETTINGS, talk).flags == ("no_speech",)


def test_a_continued_transcript_combines_its_parts():
    first = check_quality(
        decoded("the boat", avg_logprob=-0.2, num_decoded=3, no_speech_prob=0.1, num_segments=1),
        SETTINGS, window(0.4),
    )  # fmt: skip
    last = check_quality(
        decoded("the boat was small", avg_logprob=-0.6, num_decoded=1, no_speech_prob=0.5,
                num_segments=2, end_s=0.9, has_end=False),
        SETTINGS, window(),
    )  # fmt: skip
    both = continued(first, last)
    assert (both.text, both.tokens) == (last.text, last.tokens)
    assert both.avg_logprob == pytest.approx(-0.3)
    assert (both.no_speech_prob, both.temperature, both.flags) == (0.1, 0.4, ("no_end",))
    assert (both.num_decoded, both.num_segments, both.end_s) == (4, 2, 0.9)


def test_silence_adds_nothing_to_a_transcript(talk):
    first = check_quality(decoded("the boat", end_s=0.6), SETTINGS, window())
    silence = decoded("the boat you", avg_logprob=-2.0, no_speech_prob=0.9)
    assert continued(first, check_quality(silence, SETTINGS, window())) == first
    early = AudioWindow(talk.id, talk.samples, covered=Covered(100, (1, 2)))
    both = continued(first, check_quality(silence, SETTINGS, early))
    assert both == first.__class__(**{
        name: getattr(first, name) for name in first.__slots__ if name != "flags"
    }, flags=("early_end",))  # fmt: skip

import dataclasses

import pytest

from benchmarks.gpu import tokens
from benchmarks.gpu.speech import windows_of
from benchmarks.gpu.tokens import Difference, check_tokens, first_difference, with_engine
from benchmarks.label.generate import GenerateEngine
from tasks.whisper.whisper import WhisperEngine


def test_tokens_are_those_of_transformers(setup):
    outcome = check_tokens(setup)
    assert outcome.passed, outcome.detail
    assert outcome.figures["float32_percent"] == 100.0
    assert outcome.detail.startswith("float32: 6 of 6 windows are equal; bfloat16: ")


def test_a_wrong_token_fails_and_is_named(setup, monkeypatch):
    num_prompt = 4

    class OneWrong(GenerateEngine):
        def transcribe(self, windows, settings):
            for window, result in super().transcribe(windows, settings):
                if window.id == "w0003":
                    changed = list(result.tokens)
                    changed[num_prompt + 2] += 1
                    result = dataclasses.replace(result, tokens=tuple(changed))
                yield window, result

    monkeypatch.setattr(tokens, "GenerateEngine", OneWrong)
    outcome = check_tokens(setup)
    assert outcome.passed is False
    assert "float32: 5 of 6 windows are equal (w0003 first differs at token 2: " in outcome.detail


def test_the_logits_of_a_difference_are_those_of_transformers(setup):
    teacher = setup.load("float32")
    window = windows_of(setup, teacher.window_samples)[0]
    found = with_engine(teacher, [window], WhisperEngine(teacher, 1))[window.id]
    difference = first_difference(teacher, window, found, found[:-1])
    assert difference.index == len(found) - 1
    assert difference.tokens == (found[-1], teacher.model.generation_config.eos_token_id)
    assert difference.logits[0] > difference.logits[1]


@pytest.mark.parametrize(
    ("logits", "is_tie"), [((7.5, 7.53), True), ((7.5, 8.0), False), ((-3.0, -3.01), True)]
)
def test_a_near_tie_is_relative_to_the_logits(logits, is_tie):
    found = Difference(window_id="w", index=0, tokens=(1, 2), logits=logits)
    assert found.is_tie(2.0**-6) is is_tie
    assert not found.is_tie(0.0)

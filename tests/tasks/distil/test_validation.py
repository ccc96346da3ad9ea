"""The word error rate of a student on the speech that selects its weights."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch

from configs.schema import RunConfig
from tasks.distil.validation import Validation, Validator, validate
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine
from tests.tasks.whisper.fake_engine import FakeEngine, decoded

WINDOW_SAMPLES = 32_000


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig.model_validate(
        {
            "root": str(tmp_path),
            "corpora": {"librispeech": {}, "tedlium": {}},
            "label": {"teacher": {"path": "unused"}},
            "publish": {"name": "x"},
        }
    )


def test_the_rate_is_the_mean_over_sets_of_all_lengths(config, row, normalised):
    speech = {
        "librispeech/dev-clean": [
            normalised(
                row("right"),
                row("long", 3 * WINDOW_SAMPLES, raw_text="BOAT BOAT BOAT BOAT"),
                row("hummed", raw_text="hmm"),
            )
        ],
        "tedlium/dev": [normalised(row("wrong"))],
    }

    def transcribe(window, temperature):
        name = window.id.split("@")[0]
        return decoded({"right": "the boat was small", "long": "boat"}.get(name, "a b c d"))

    found = validate(config, FakeEngine(transcribe), speech)
    num_windows = 4  # cut at pauses, which are earlier than the end of a window
    assert found.wer_percent == (0.0 + (4 - num_windows) + 100.0) / 2
    assert found.by_set == {"librispeech/dev-clean": 0.0 + (4 - num_windows), "tedlium/dev": 100.0}
    assert found.num_utterances == 3
    assert found.excluded == {"empty_reference": 1}


def test_nothing_to_measure_has_no_rate(config, row, normalised):
    found = validate(
        config, FakeEngine(), {"librispeech/dev": [normalised(row("a", raw_text="hmm"))]}
    )
    assert math.isnan(found.wer_percent)
    assert (found.num_utterances, found.excluded) == (0, {"empty_reference": 1})


def test_weights_are_scored_in_the_precision_that_they_are_evaluated_in(
    config, store, row, normalised, tiny_teacher
):
    speech = {"librispeech/dev": [normalised(*(row(name) for name in "abcd"))]}
    label = config.label.model_copy(update={"dtype": "bfloat16"})
    config = config.model_copy(update={"label": label})
    student = copy.deepcopy(tiny_teacher.model)
    found = Validator(config, store, tiny_teacher, speech)(student)
    assert student.dtype == torch.float32
    module: torch.nn.Module = student
    module.to(torch.bfloat16)
    evaluated = LoadedWhisper(
        model=student,
        feature_extractor=tiny_teacher.feature_extractor,
        tokenizer=tiny_teacher.tokenizer,
    )
    expected = validate(config, WhisperEngine(evaluated, 16), speech)
    assert found.value == expected.wer_percent


def test_what_was_measured_is_recorded_with_the_score(config, store, row, normalised, tiny_teacher):
    speech = {"librispeech/dev": [normalised(row("a"), row("hummed", raw_text="hmm"))]}
    seen: list[Validation] = []
    score = Validator(config, store, tiny_teacher, speech, seen.append)(tiny_teacher.model)
    [found] = seen
    assert score.value == found.wer_percent
    assert json.loads(json.dumps(score.details)) == {
        "num_validation_utterances": 1,
        "validation_wer_percent_by_set": {"librispeech/dev": found.wer_percent},
        "validation_excluded": {"empty_reference": 1},
    }


def test_a_frozen_encoder_encodes_validation_speech_once(
    config, store, row, normalised, tiny_teacher, monkeypatch
):
    """For a second student too, and without changing a word."""
    num_encoded = 0
    encode = EncoderLayers.__call__

    def counted(self, features):
        nonlocal num_encoded
        num_encoded += len(features) == 1
        return encode(self, features)

    monkeypatch.setattr(EncoderLayers, "__call__", counted)
    rows = [row("a"), row("b"), row("long", 3 * WINDOW_SAMPLES)]
    speech = {"librispeech/dev": [normalised(*rows)]}
    rates = set()
    for _ in range(2):
        validator = Validator(config, store, tiny_teacher, speech)
        rates |= {validator(tiny_teacher.model).value for _ in range(2)}
        assert num_encoded == 2 + 4
    uncached = with_runtime(config, encoder_cache_gb=0)
    rates.add(Validator(uncached, store, tiny_teacher, speech)(tiny_teacher.model).value)
    assert num_encoded == 2 * (2 + 4)
    assert len(rates) == 1


def test_an_encoder_that_is_trained_encodes_each_time(config, store, row, normalised, tiny_teacher):
    distil = config.distil.model_copy(update={"freeze_encoder": False})
    speech = {"librispeech/dev": [normalised(row("a"))]}
    trained = config.model_copy(update={"distil": distil})
    Validator(trained, store, tiny_teacher, speech)(tiny_teacher.model)
    assert not list(store.scratch_folder().rglob("*.f32"))


def with_runtime(config: RunConfig, **changes: object) -> RunConfig:
    runtime = config.runtime.model_copy(update=changes)
    return config.model_copy(update={"runtime": runtime})

"""The word error rate of a student on the speech that selects its weights."""

import math
from pathlib import Path

import pytest

from configs.schema import RunConfig
from tasks.distil.validation import validate
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

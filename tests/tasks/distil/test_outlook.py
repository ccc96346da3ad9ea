"""What a training amounts to, and whether the encoder cache helps it."""

from typing import Any

import pytest

from configs.schema import Distil, RunConfig
from tasks.distil.outlook import Outlook


def outlook(runtime: dict[str, Any] | None = None, **distil: Any) -> Outlook:
    config = RunConfig.model_validate(
        {
            "root": "unused",
            "corpora": {"librispeech": {}, "ami": {}},
            "label": {"teacher": {"path": "unused"}},
            "publish": {"name": "x"},
            "distil": distil,
            "runtime": runtime or {},
        }
    )
    return Outlook.of(config, {"librispeech": 600, "ami": 400}, {"librispeech": 6.0, "ami": 2.0})


def test_updates_are_epochs_and_hours() -> None:
    found = outlook(num_steps=500, batch_size=16)
    assert (found.num_steps, found.epochs, found.hours) == (500, 8.0, 64.0)
    assert outlook(num_epochs=8, batch_size=16) == found
    assert str(found).startswith("500 updates of 16 windows: 8.0 epochs of 1,000 windows, 64.0 h")


def test_the_defaults_of_the_paper_on_little_speech_are_remarked_upon() -> None:
    assert "20,480.0 epochs" in str(outlook())
    assert "set distil.num_epochs" in str(outlook())
    assert "set distil.num_epochs" not in str(outlook(num_epochs=20))


def test_weights_of_corpora_count_windows_as_often_as_they_are_seen() -> None:
    found = outlook(num_epochs=2, batch_size=16, corpus_weights={"librispeech": 2, "ami": 0.5})
    assert (found.num_windows, found.num_steps) == (1_400, 175)
    assert (found.epochs, found.hours) == (2.0, 26.0)


def test_the_rounding_error_of_a_weight_adds_no_update() -> None:
    settings = Distil(num_epochs=16, batch_size=16, corpus_weights={"librispeech": 1.1})
    assert settings.weighted({"librispeech": 100}) > 110
    assert settings.steps_for(settings.weighted({"librispeech": 100})) == 110


def test_a_corpus_of_a_large_weight_is_repeated_within_an_epoch() -> None:
    assert outlook(num_epochs=1).why_not_cached == "no window is seen twice"
    weights = {"librispeech": 3.0}
    assert outlook(num_epochs=0.5, batch_size=16, corpus_weights=weights).why_not_cached is None
    assert outlook(num_epochs=0.25, batch_size=16, corpus_weights=weights).why_not_cached


def test_on_the_cpu_outputs_are_kept_for_later_students() -> None:
    assert outlook({"device": "cpu"}, num_epochs=0.5).why_not_cached is None


def test_weights_of_unknown_corpora_are_refused() -> None:
    problem = "names librispech; the corpora of this run are librispeech, ami"
    with pytest.raises(ValueError, match=problem):
        outlook(corpus_weights={"librispech": 2.0})


def test_a_weight_of_1_is_the_default() -> None:
    assert Distil(corpus_weights={"ami": 1.0}) == Distil()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"num_epochs": 2}, None),
        ({"num_epochs": 1}, "seen twice"),
        ({"num_epochs": 2, "freeze_encoder": False}, "trained"),
        ({"num_epochs": 2, "spec_augment": {}}, "augmented"),
        ({"num_epochs": 2, "runtime": {"encoder_cache_gb": 0}}, "is 0"),
    ],
)
def test_the_cache_is_used_where_it_helps(settings: dict[str, Any], reason: str | None) -> None:
    found = outlook(**settings)
    assert (found.why_not_cached is None) == (reason is None)
    assert (reason or "once for each window") in str(found)

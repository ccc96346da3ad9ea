"""What a training amounts to, and whether the encoder cache helps it."""

from typing import Any

import pytest

from configs.schema import RunConfig
from tasks.distil.outlook import Outlook


def outlook(runtime: dict[str, Any] | None = None, **distil: Any) -> Outlook:
    config = RunConfig.model_validate(
        {
            "root": "unused",
            "corpora": {"librispeech": {}},
            "label": {"teacher": {"path": "unused"}},
            "publish": {"name": "x"},
            "distil": distil,
            "runtime": runtime or {},
        }
    )
    return Outlook.of(config, 1_000, 8.0)


def test_updates_are_epochs_and_hours() -> None:
    found = outlook(num_steps=500, batch_size=16)
    assert (found.num_steps, found.epochs, found.hours) == (500, 8.0, 64.0)
    assert outlook(num_epochs=8, batch_size=16) == found
    assert str(found).startswith("500 updates of 16 windows: 8.0 epochs of 1,000 windows, 64.0 h")


def test_the_defaults_of_the_paper_on_little_speech_are_remarked_upon() -> None:
    assert "20,480.0 epochs" in str(outlook())
    assert "set distil.num_epochs" in str(outlook())
    assert "set distil.num_epochs" not in str(outlook(num_epochs=20))


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

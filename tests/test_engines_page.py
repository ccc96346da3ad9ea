"""Every code block of docs/engines.md is executed."""

import re
from pathlib import Path
from runpy import run_path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from configs.schema import RunConfig
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tests.tasks.whisper.tiny_ctc import save_tiny_ctc

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "engines.md").read_text()
SETTINGS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PROGRAM = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge `changes` into `base` recursively; a `teacher` block is replaced as a whole."""
    result = dict(base)
    for name, value in changes.items():
        is_block = isinstance(value, dict) and name != "teacher"
        result[name] = merged(base.get(name, {}), value) if is_block else value
    return result


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_are_valid_in_a_run(block: str) -> None:
    tiny = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())
    RunConfig.model_validate(merged(tiny, yaml.safe_load(block)))


def test_values_called_defaults_are_defaults() -> None:
    tiny = yaml.safe_load((ROOT / "configs" / "tiny.yaml").read_text())
    config = RunConfig.model_validate(merged(tiny, yaml.safe_load(SETTINGS[0])))
    assert config == RunConfig.model_validate(tiny)


def test_the_example_labels_a_shard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(save_tiny_ctc(tmp_path))
    scope: dict[str, Any] = {"folder": folder, "batches": [_batch()]}
    for block in PROGRAM:
        program = tmp_path / "shown.py"
        program.write_text(block)
        scope = run_path(str(program), scope)
    labels = scope["labels"]
    assert labels.schema.equals(LABELS)
    assert labels.column("window_id").to_pylist() == ["a+1"]
    assert str(labels.column("pseudo_text").to_pylist()) in capsys.readouterr().out


def _batch() -> pa.RecordBatch:
    import numpy as np

    from tasks.audio import encode_flac

    noise = np.random.default_rng(0).integers(-8_000, 8_000, 16_000).astype(np.int16)
    rows = [
        {
            "id": name, "corpus": "own", "split": "train", "recording_id": "tape",
            "speaker_id": "ann", "start_s": 0.0, "duration_s": 1.0,
            "audio": {"bytes": encode_flac(noise), "path": f"{name}.flac"},
            "raw_text": "THE BOAT",
        }
        for name in "ab"
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=NORMALISED)

"""The weights of a student are selected by the word error rate that `evaluate` prints."""

import re
from typing import Any

import pytest
import yaml

from storage.receipt import Receipt
from tests.flows.running import Run, copied, tiny

pytestmark = pytest.mark.slow

SETTINGS: dict[str, dict[str, Any]] = {
    "distil": {"decoder_layers": [0, 1, 3], "num_validation_windows": None},
    "evaluate": {"split_role": "validation"},
}


def receipt_of(run: Run) -> Receipt:
    (path,) = run.root.glob("distil/*/student.receipt.json")
    return Receipt.parse(path.read_bytes(), str(path))


@pytest.fixture(scope="module")
def validated(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with two whole validation sets, which are also evaluated."""
    folder = tmp_path_factory.mktemp("validated")
    copied(finished, folder)
    run = tiny(folder, **SETTINGS)
    settings = yaml.safe_load(run.config.read_text())
    settings["corpora"]["voxpopuli"] = {
        "mirror": "tiny-data/synthetic/voxpopuli", "checksums": "sha256sums"
    }  # fmt: skip
    run.config.write_text(yaml.safe_dump(settings))
    for path in run.root.glob("distil/*/student.receipt.json"):
        path.unlink()
    run.run()
    return run


def test_the_selecting_word_error_rate_is_the_one_that_evaluate_prints(validated: Run) -> None:
    recorded = receipt_of(validated).recorded
    report = validated.json("evaluate")
    assert recorded["validation_wer_percent"] == report["mean_wer_percent"]["student"]
    assert recorded["validation_wer_percent_by_set"] == {
        split: rates["student"] for split, rates in report["by_split"].items()
    }
    assert recorded["num_validation_utterances"] == report["coverage"]["num_utterances"]
    printed = validated.distillery("evaluate", validated.config.name).stdout
    (line,) = (line for line in printed.splitlines() if line.startswith("mean, 2 sets"))
    rates = re.findall(r"\d+\.\d\d", line)
    assert rates[1] == f"{recorded['validation_wer_percent']:.2f}"
    assert 0 < recorded["validation_wer_percent"] < 100

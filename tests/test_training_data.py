"""docs/training-data.md: its code runs and resumes, and its table lists all fields."""

import re
from itertools import islice
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from benchmarks.noise_manifest import write_manifest
from storage.store import Store
from tasks.reading.sample import Sample

PAGE = (Path(__file__).parents[1] / "docs" / "training-data.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def _published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_manifest(Store("demo-data"), "demo", {"librispeech": [30, 31], "ami": [20]})


@pytest.mark.parametrize("code", BLOCKS, ids=["first", "loop", "datasets"])
def test_each_code_block_runs(code: str, tmp_path: Path) -> None:
    run_block(code, tmp_path)


def run_block(code: str, folder: Path) -> dict[str, Any]:
    """What a program on the page has defined in the end."""
    program = folder / "shown.py"
    program.write_text(code)
    return run_path(str(program), run_name="shown")


def test_the_loop_resumes_with_the_next_batch(tmp_path: Path) -> None:
    shown = run_block(BLOCKS[1], tmp_path)
    whole = [batch["labels"].tolist() for batch in islice(shown["batches_after"](0), 7)]
    rest = [batch["labels"].tolist() for batch in islice(shown["batches_after"](5), 2)]
    assert rest == whole[5:]
    assert shown["batch"]["labels"].tolist() == whole[5]


def test_every_field_is_documented() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", "".join(rows))) == set(Sample.__dataclass_fields__)

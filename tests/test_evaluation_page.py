"""What docs/evaluation.md says of settings, claims and files is true; its programs are run."""

import re
from pathlib import Path
from runpy import run_path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from configs.evaluate import Evaluate, Noise
from storage.receipt import Counts, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.evaluate.claims.table import claims
from tasks.evaluate.schema import MEASURED
from tasks.evaluate.statistics.totals import keep_totals
from tests.tasks.evaluate.reports import paper_report, report

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "evaluation.md").read_text()
SETTINGS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_are_valid(block: str) -> None:
    (values,) = yaml.safe_load(block).values()
    assert Evaluate.model_validate(values)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_.]*_[a-z_]+)`", PAGE))))
def test_settings_that_are_named_exist(name: str) -> None:
    fields: Any = Evaluate.model_fields
    first, _, second = name.partition(".")
    if name == "read_parquet" or name in MEASURED.names:
        return
    assert first in fields, name
    if second:
        assert f"{second}" in (ROOT / "configs" / "evaluate.py").read_text()


def test_the_table_of_claims_has_each_claim_with_its_source_and_figure() -> None:
    rows = re.findall(r"^\| (.+?) \| (Tables? .+?|Figure 2) \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
    assert rows == [(one.claim, one.source, one.paper) for one in claims(report())]


def test_the_number_of_noisy_utterances_is_that_of_the_defaults() -> None:
    noise = Noise()
    num_conditions = len(noise.kinds) * len(noise.snr_db)
    assert f"{num_conditions} times with the default" in PAGE
    assert f"{num_conditions * noise.num_utterances:,} utterances of a\nsplit" in PAGE


def test_the_programs_print_what_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(tmp_path))
    keep_totals(store, "reports/demo/31d7b4d4c3b6ec7c.json", paper_report())
    (tmp_path / "reports/demo/31d7b4d4c3b6ec7c.json").write_bytes(paper_report().encode())
    _measure(store)
    scope: dict[str, Any] = {"root": str(tmp_path)}
    for number, block in enumerate(PROGRAMS):
        program = tmp_path / f"{number}.py"
        program.write_text(block)
        scope = run_path(str(program), scope)
    printed = capsys.readouterr().out
    assert "student chunked earnings22/test 11.0" in printed
    assert printed.splitlines()[-1] == "talk-1 the boat the boat sank"


def _measure(store: Store) -> None:
    """One shard of a student's results, as a run stores it."""
    folder = "evaluate/student-1f6b2a90/talks/0a1b2c3d/test"
    row = {
        "id": "talk-1", "utterance_ids": None, "speaker_id": "ann", "duration_s": 1.0,
        "reference": "the boat", "hypothesis": "the boat sank", "num_reference_words": 2,
        "hits": 2, "substitutions": 0, "deletions": 0, "insertions": 1, "num_reference_chars": 8,
        "char_errors": 5, "snr_db": None,
    }  # fmt: skip
    with store.sink(folder) as sink:
        pq.write_table(pa.Table.from_pylist([row], schema=MEASURED), sink)
        output = store.keep(sink, f"{folder}/00000.12345678.parquet")
    receipt = Receipt(
        stage="evaluate", fingerprint="0a1b2c3d", key=ShardKey("talks", "test", 0),
        source_digest="0" * 64, output=output, counts=Counts(rows_in=1, rows_out=1),
    )  # fmt: skip
    store.put_if_absent(f"{folder}/00000.0123456789abcdef.receipt.json", receipt.encode())

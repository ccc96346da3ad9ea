import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from storage.receipts import Split
from storage.store import Store
from tests.storage import commit_until_killed
from tests.storage.commit_until_killed import NUM_SHARDS, commit_pending

FOLDER = "stage/corpus/f00d/train"


@pytest.fixture
def undisturbed(tmp_path: Path) -> Store:
    """The same shards committed without kills."""
    store = Store(str(tmp_path / "undisturbed"))
    list(commit_pending(store))
    return store


def test_after_kills_all_receipts_are_valid_and_a_rerun_completes(
    tmp_path: Path, undisturbed: Store
) -> None:
    script = [sys.executable, "-m", commit_until_killed.__name__, str(tmp_path / "killed"), "1"]
    subprocess.run(script, check=True, timeout=120, cwd=Path(__file__).parents[2])
    store = Store(str(tmp_path / "killed"))
    done = Split.load(store, FOLDER).receipts
    assert 0 < len(done) <= NUM_SHARDS
    for receipt in done:
        assert receipt.rejected is not None
        with store.fetch(receipt.output) as rows, store.fetch(receipt.rejected) as rejected:
            assert pq.read_table(rows).num_rows == 2
            assert pq.read_table(rejected).num_rows == 1
    completed = list(commit_pending(store))
    expected = Split.load(undisturbed, FOLDER).receipts
    assert [receipt.output for receipt in completed] == [receipt.output for receipt in expected]
    assert list(store.list("")) == list(undisturbed.list(""))

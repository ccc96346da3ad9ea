"""The results by set as Parquet: the rows of the report, and made again from it."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from configs.load import load_config
from flows.state.garbage import find_garbage
from flows.state.mending import Repairs
from flows.state.repair import producer_of
from flows.state.verification import verify_file
from storage.errors import IntegrityError
from storage.store import Store
from tasks.evaluate.findings import SetResult
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.totals import TOTALS, keep_totals, totals_path
from tests.flows.running import REPOSITORY
from tests.tasks.evaluate.reports import paper_report, report, set_result

PATH = "reports/tiny/31d7b4d4c3b6ec7c.json"
TABLE = totals_path(PATH)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def stored(store: Store, made: Report) -> None:
    keep_totals(store, PATH, made)
    store.put_if_absent(PATH, made.encode())


def test_the_table_has_every_figure_of_every_set(store: Store, tmp_path: Path) -> None:
    made = paper_report(
        sets=(set_result("teacher", "a/test", 10.0), set_result("x", "b/test", None))
    )
    stored(store, made)
    table = pq.read_table(tmp_path / TABLE)
    assert table.schema.equals(TOTALS)
    first, second = table.to_pylist()
    assert (first["wer_lower_percent"], first["wer_upper_percent"]) == (9.0, 11.0)
    assert second["wer_percent"] is second["wer_lower_percent"] is None
    for row, one in zip((first, second), made.sets, strict=True):
        same = {name: row[name] for name in SetResult.model_fields if name != "wer_interval"}
        assert same == one.model_dump(exclude={"wer_interval"})


def test_a_report_without_sets_has_an_empty_table(store: Store, tmp_path: Path) -> None:
    stored(store, report())
    assert pq.read_table(tmp_path / TABLE).num_rows == 0


@pytest.mark.parametrize("damage", ["flipped", "truncated", "other", "missing"])
def test_a_damaged_table_is_found_and_written_again(
    store: Store, tmp_path: Path, damage: str
) -> None:
    stored(store, paper_report())
    file = tmp_path / TABLE
    intact = file.read_bytes()
    verify_file(store, producer_of(TABLE))
    if damage == "flipped":
        file.write_bytes(intact[:500] + bytes([intact[500] ^ 1]) + intact[501:])
    elif damage == "truncated":
        file.write_bytes(intact[:100])
    elif damage == "other":
        keep_totals(store, PATH, report())
    else:
        file.unlink()
    with pytest.raises(IntegrityError, match=TABLE):
        verify_file(store, producer_of(TABLE))
    config = load_config(REPOSITORY / "configs" / "tiny.yaml")
    assert Repairs(config, store).mend([TABLE]) == [TABLE]
    verify_file(store, producer_of(TABLE))
    assert file.read_bytes() == intact


def test_a_table_without_its_report_is_deleted(store: Store, tmp_path: Path) -> None:
    keep_totals(store, PATH, paper_report())
    config = load_config(REPOSITORY / "configs" / "tiny.yaml")
    Repairs(config, store).mend([TABLE])
    assert not (tmp_path / TABLE).exists()


def test_it_is_no_garbage(store: Store) -> None:
    stored(store, paper_report())
    assert list(find_garbage(store, 0.0)) == []

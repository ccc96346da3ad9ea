"""The report on a grid from its rows: groups over seeds, differences, the paper's tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.grid_runs import LoadedGrid, load_grid
from flows.dispatch.tables import grid_rows, paper_rows
from flows.state.grid.report import GridReport, GridRow, keep_grid, report_on
from storage.store import Store
from tasks.paper.settings import PAPER_FILTERED_PERCENT, PAPER_TABLES

THRESHOLD, LAYERS = "filter.max_wer_percent", "distil.decoder_layers"
TEACHER = {"librispeech": 3.0, "ami": 17.0}


def load(folder: Path, **grid: Any) -> LoadedGrid:
    file = folder / "shown.yaml"
    file.write_text(yaml.safe_dump({"base": "demo", **grid}, sort_keys=False))
    return load_grid(file)


def report(grid: LoadedGrid, rates: Mapping[str, float]) -> GridReport:
    """A report with these WERs, by the name of the run; a run without one is not evaluated."""
    rows = [
        GridRow(
            name=run.name,
            config=run.config,
            label=run.label,
            values=run.values,
            seed=run.seed,
            pending="" if run.name in rates else "distil",
            wer_percent=rates.get(run.name),
            wer_percent_by_corpus={"ami": rates[run.name]} if run.name in rates else {},
        )
        for run in grid.runs
    ]
    return report_on(grid, "", rows, TEACHER)


def test_runs_that_differ_in_their_seed_are_summarised(tmp_path: Path) -> None:
    grid = load(tmp_path, vary={THRESHOLD: [5, 10]}, seeds=[0, 1, 2])
    rates = {
        "demo-max_wer_percent-5": 20.0,
        "demo-max_wer_percent-5-seed-1": 23.0,
        "demo": 12.0,
        "demo-seed-1": 11.0,
        "demo-seed-2": 16.0,
    }
    strict, usual = report(grid, rates).groups
    assert (strict.num_runs, strict.wer_percent) == (2, 21.5)
    assert (usual.num_runs, usual.wer_percent) == (3, 13.0)
    assert (usual.lowest_wer_percent, usual.highest_wer_percent) == (11.0, 16.0)
    assert (usual.is_reference, usual.above_teacher, usual.above_reference) == (True, 3.0, 0.0)
    assert (strict.is_reference, strict.above_teacher, strict.above_reference) == (False, 11.5, 8.5)


def test_nothing_is_compared_with_a_base_that_is_not_run(tmp_path: Path) -> None:
    grid = load(tmp_path, vary={THRESHOLD: [5, 20]})
    for group in report(grid, {"demo-max_wer_percent-5": 20.0}).groups:
        assert (group.is_reference, group.above_reference) == (False, None)
    assert [one.wer_percent for one in report(grid, {}).groups] == [None, None]


def test_the_papers_tables_are_those_of_the_varied_settings(tmp_path: Path) -> None:
    for vary, numbers in [
        ({THRESHOLD: [5]}, [10]),
        ({"filter.fraction": [0.5]}, [11]),
        ({LAYERS: [1], THRESHOLD: [5]}, [10, 12]),
        ({"distil.encoder_layers": [None]}, [12]),
        ({"distil.kl_weight": [0]}, [21]),
        ({"distil.batch_size": [8]}, []),
    ]:
        found = report(load(tmp_path, vary=vary), {}).paper
        assert [table.number for table in found] == numbers


def test_a_row_of_the_paper_has_the_runs_that_differ_from_the_base_in_nothing_else(
    tmp_path: Path,
) -> None:
    grid = load(tmp_path, vary={THRESHOLD: [5, 10, 12], LAYERS: [2, 1]})
    rates = {run.name: float(number) for number, run in enumerate(grid.runs)}
    threshold, layers = report(grid, rates).paper
    here = {line.setting: line.here for line in threshold.lines if line.here is not None}
    assert here == {"5 %": 0.0, "10 %": 2.0}
    assert {line.setting for line in layers.lines if line.here is not None} == {"32/2"}


def test_fewer_encoder_layers_are_trained_and_that_alone_is_no_row(tmp_path: Path) -> None:
    trained = {"distil.freeze_encoder": False}
    runs = {"base": {}, "small": {"distil.encoder_layers": 16, **trained}, "trained": trained}
    grid = load(tmp_path, runs=runs)
    [layers] = report(grid, {"demo": 1.0, "demo-small": 2.0, "demo-trained": 9.0}).paper
    here = {line.setting: line.here for line in layers.lines if line.here is not None}
    assert here == {"32/2": 1.0, "16/2": 2.0}
    assert report(load(tmp_path, runs={"trained": trained}), {}).paper == ()


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({THRESHOLD: 15}, {10: "15 %"}),
        ({"filter.fraction": 0.02}, {11: "435 h"}),
        ({"filter.fraction": 0.64}, {11: "13,933 h"}),
        ({LAYERS: [0, 1, 2, 3]}, {12: "32/4"}),
        ({"distil.encoder_layers": 16, "distil.freeze_encoder": False}, {12: "16/2"}),
        ({"distil.kl_weight": 0}, {21: "PL"}),
        ({}, {10: "10 %", 11: "21,770 h", 12: "32/2", 21: "PL + KL"}),
    ],
)
def test_a_configuration_is_found_in_the_papers_tables(
    tmp_path: Path, changes: dict[str, Any], rows: dict[int, str]
) -> None:
    settings = load(tmp_path, runs={"one": changes}).runs[0].settings
    for table in PAPER_TABLES:
        if table.number in rows:
            assert table.row_of(settings) == rows[table.number]
            assert rows[table.number] in table.rows


def test_the_paper_kept_less_at_each_stricter_threshold() -> None:
    filtered = list(PAPER_FILTERED_PERCENT.items())
    assert filtered[0] == (5.0, 60.3) and filtered[-1] == (100.0, 0.0)
    assert filtered == sorted(filtered)
    assert [lost for _, lost in filtered] == sorted((lost for _, lost in filtered), reverse=True)


def test_the_same_results_are_stored_once(tmp_path: Path) -> None:
    grid, store = load(tmp_path, vary={THRESHOLD: [5, 10]}), Store(str(tmp_path / "root"))
    one, other = report(grid, {"demo": 1.0}), report(grid, {"demo": 2.0})
    assert keep_grid(store, one) == keep_grid(store, one) != keep_grid(store, other)
    path = keep_grid(store, one)
    assert GridReport.parse(store.read(path), path) == one


def test_the_ui_has_the_same_values(tmp_path: Path) -> None:
    grid = load(tmp_path, vary={THRESHOLD: [5, 10]})
    found = report(grid, {"demo": 12.345})
    waiting, done = grid_rows(found)
    assert done["max_wer_percent"] == 10.0 and done["mean WER %"] == done["ami WER %"] == 12.35
    assert (waiting["to do"], waiting["mean WER %"], done["to do"]) == ("distil", "-", "nothing")
    assert [row["here"] for row in paper_rows(found.paper[0])] == ["-"] * 5 + [12.35, "-"]

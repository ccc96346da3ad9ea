"""A grid on the tiny configuration: labels are made once, runs that are done are skipped."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.state.grid.report import GridReport
from tests.flows.running import Completed, Run, tiny
from tests.prefect_server import SHARED
from tests.processes import environment

pytestmark = pytest.mark.slow

SHARED_STAGES = ("plan", "normalise", "label", "score")
GRID: dict[str, Any] = {
    "base": "tiny.yaml",
    "runs": {
        "as-it-is": {},
        "strict": {"filter.max_wer_percent": 3},
        "too-deep": {"distil.decoder_layers": 99},
        "half": {"filter.fraction": 0.5, "distil.num_steps": 3},
    },
}
BROKEN = "grid.yaml:tiny-too-deep"


def write(run: Run, **changes: Any) -> None:
    (run.folder / "grid.yaml").write_text(yaml.safe_dump({**GRID, **changes}, sort_keys=False))


def found(run: Run, *options: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(run.here("grid", "grid.yaml", "--json", *options).stdout)
    return value


def files(run: Run) -> dict[str, tuple[bytes, int]]:
    """Every record below the root, with the time at which it was written."""
    return {
        str(path.relative_to(run.root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in run.root.rglob("*.json")
        if "scratch" not in path.parts
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = tiny(tmp_path_factory.mktemp("grid"))
    write(made)
    return made


@pytest.fixture(scope="module")
def first(run: Run) -> Completed:
    """The grid run from nothing, as one of the tests below begins with it."""
    assert [row["pending"] for row in found(run, "--plan")["rows"]] == ["download"] * 4
    assert not run.root.exists()
    return run.distillery("grid", "grid.yaml", expect=1)


def test_a_run_that_fails_is_reported_and_the_others_go_on(run: Run, first: Completed) -> None:
    assert f"failed: {BROKEN}: distil.decoder_layers is 99" in first.stderr
    assert "1 of 4 runs failed; then: distillery grid grid.yaml" in first.stderr
    report = found(run, "--plan")
    assert [row["pending"] for row in report["rows"]] == ["", "", "distil", ""]
    for row in report["rows"]:
        assert (row["wer_percent"] is None) == (row["name"] == "tiny-too-deep")
    assert "To do, from distil on: tiny-too-deep" in first.stdout
    assert all(f"Table {number} of the paper" in first.stdout for number in (10, 11, 12))


def test_everything_before_the_filter_is_made_once(run: Run, first: Completed) -> None:
    lines = run.json("status")["stages"]
    for stage in SHARED_STAGES:
        num_shards = sum(one["shards"]["done"] for one in lines if one["stage"] == stage)
        assert len(run.receipts(stage)) == num_shards > 0
    shards = sum(one["shards"]["done"] for one in lines if one["stage"] == "filter")
    assert len(run.receipts("filter")) == 3 * shards  # two of the runs have the same filter
    assert len(run.receipts("distil")) == 3
    held_out = len(run.receipts("evaluate"))
    assert held_out == 4 * sum(
        one["shards"]["done"] for one in lines if one["split"] == "test-clean:teacher"
    )  # the teacher once, and three students


def test_each_run_is_a_configuration(run: Run, first: Completed) -> None:
    for name, config in [("tiny", "tiny.yaml"), ("tiny-half", "grid.yaml:tiny-half")]:
        shown = json.loads(run.here("manifest", "show", config, "--json").stdout)
        assert shown["name"] == name
        report = json.loads(run.here("evaluate", config, "--json").stdout)
        row = next(row for row in found(run, "--plan")["rows"] if row["name"] == name)
        assert row["wer_percent_by_corpus"] == {
            corpus: rates["student"] for corpus, rates in report["by_corpus"].items()
        }
    dropped = json.loads(run.here("manifest", "show", "grid.yaml:tiny-half", "--json").stdout)
    assert dropped["totals"]["all"]["dropped"]["beyond_fraction"] > 0
    whole = json.loads(run.here("manifest", "show", "tiny.yaml", "--json").stdout)
    assert dropped["totals"]["all"]["windows"] < whole["totals"]["all"]["windows"]


def test_a_run_of_a_grid_is_what_its_configuration_makes(
    run: Run, first: Completed, finished: Run
) -> None:
    assert run.digest == finished.digest
    ours, theirs = (one.receipts("distil") for one in (run, finished))
    ((path, alone),) = theirs.items()
    assert json.loads(ours[path])["output"] == json.loads(alone)["output"]


def test_the_table_is_stored_and_shown_in_the_ui(run: Run, first: Completed) -> None:
    (path,) = (run.root / "grids" / "grid").iterdir()
    stored = GridReport.parse(path.read_bytes(), str(path))
    assert stored.model_dump(mode="json") == found(run, "--plan")
    artifacts = SHARED.started().all("artifacts")
    (shown,) = (one["data"] for one in artifacts if one["key"] == "grid-grid")
    assert "| PL" not in shown and "Table 10 of the paper" in shown
    assert "grid.yaml:tiny-strict" in shown


def test_what_is_done_is_not_done_again(run: Run, first: Completed) -> None:
    before = files(run)
    run.distillery("grid", "grid.yaml", expect=1)  # tries the run that failed once more
    assert files(run) == before
    write(run, runs={name: one for name, one in GRID["runs"].items() if name != "too-deep"})
    code = (
        "import sys; sys.argv = ['distillery', 'grid', 'grid.yaml']; import flows.commands.app\n"
        "try: flows.commands.app.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'prefect'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=run.folder, env=environment(), check=True,
        capture_output=True,
    )  # fmt: skip
    after = files(run)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 1  # the table of three runs
    path = next(Path(run.root / one) for one in after if one not in before)
    text = path.read_bytes()
    path.write_bytes(text[:100])
    found(run)
    assert path.read_bytes() == text

"""The curves of a training in the terminal and in the UI, after a run."""

from pathlib import Path

from tests.flows.running import Run, tiny
from tests.prefect_server import SHARED


def test_status_shows_the_training_of_a_student(finished: Run) -> None:
    rows = finished.json("status", "--training")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert [row["validation"] is not None for row in rows] == [False, True, False, True]
    shown = finished.distillery("status", "tiny.yaml", "--training").stdout
    best = min(row["validation"] for row in rows if row["validation"] is not None)
    assert f"Lowest: {best:.2f} % after update" in shown


def test_a_student_that_is_not_trained_has_no_curves(tmp_path: Path) -> None:
    done = tiny(tmp_path).distillery("status", "tiny.yaml", "--training", expect=2)
    assert "no student is trained on the shards as they are now" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_command_before_a_training_can_be_pasted(tmp_path: Path) -> None:
    run = tiny(tmp_path)
    run.config.rename(tmp_path / "my run.yaml")
    told = run.distillery("train", "my run.yaml", expect=1).stderr
    assert "first: distillery run 'my run.yaml' --until publish" in told


def test_a_run_leaves_its_curves_in_the_ui(finished: Run) -> None:
    wanted = {"key": {"any_": ["tiny-training"]}}
    found = SHARED.started().all("artifacts", artifacts=wanted)
    assert found
    assert all(one["type"] == "markdown" for one in found)
    assert "![losses](data:image/svg+xml;base64," in found[0]["data"]

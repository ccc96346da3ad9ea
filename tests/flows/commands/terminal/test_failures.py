"""What is printed about failures: every command in it can be pasted."""

from pathlib import Path

import pytest
import typer

from flows.commands.grid import print_errors
from flows.commands.terminal.failures import continuation, failures_reported
from flows.dispatch.lane import ShardsFailed
from storage.errors import IntegrityError, UserError
from storage.shard import ShardKey
from tasks.run import ShardFailed

KEY = ShardKey("ami", "train", 7)
FAILED = ShardsFailed([ShardFailed("label", KEY, "out of memory")])


def test_after_a_failure_of_what_a_grid_shares_the_grid_continues(
    capsys: pytest.CaptureFixture[str],
) -> None:
    then = continuation("grid", "my grid.yaml", "distil")
    with pytest.raises(typer.Exit), failures_reported(Path("base.yaml"), then):
        raise FAILED
    assert capsys.readouterr().err.splitlines() == [
        "distillery: failed: label ami/train/00007: out of memory",
        "distillery: again: distillery rerun base.yaml label ami/train/00007",
        "distillery: then: distillery grid 'my grid.yaml' --until distil",
    ]


def test_why_each_run_of_a_grid_failed_is_told_with_what_repairs_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "manifests/own-a/00001.json"
    print_errors(
        {
            "grid.yaml:own-a": IntegrityError(f"{path} is damaged", path),
            "grid.yaml:own-b": FAILED,
            "grid.yaml:own-c": UserError("too deep"),
            "grid.yaml:own-d": KeyError("x"),
        }
    )
    assert capsys.readouterr().err.splitlines() == [
        f"distillery: failed: grid.yaml:own-a: {path} is damaged;"
        f" again: distillery repair grid.yaml:own-a {path}",
        "distillery: failed: label ami/train/00007: out of memory",
        "distillery: again: distillery rerun grid.yaml:own-b label ami/train/00007",
        "distillery: failed: grid.yaml:own-c: too deep",
        "distillery: failed: grid.yaml:own-d: KeyError: 'x'; please report it",
    ]

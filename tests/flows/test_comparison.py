"""`evaluate --compare`: two runs on the utterances that both have, without loading a model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.running import Run, tiny
from tests.processes import environment


def test_runs_that_are_not_evaluated_are_named_with_the_command(tmp_path: Path) -> None:
    run = tiny(tmp_path)
    (tmp_path / "other one.yaml").write_text(run.config.read_text())
    done = run.here("evaluate", run.config.name, "--compare", "other one.yaml", expect=2)
    assert done.stderr.strip() == (
        "distillery: other one.yaml is not evaluated yet;"
        " `distillery evaluate 'other one.yaml'` evaluates"
    )


@pytest.mark.slow
def test_a_run_does_not_differ_from_itself(finished: Run) -> None:
    name = finished.config.name
    found = json.loads(finished.here("evaluate", "--compare", name, name, "--json").stdout)
    assert (found["a"], found["b"]) == (name, name)
    assert {one["model"] for one in found["rows"]} == {"teacher", "student"}
    for one in found["rows"]:
        assert one["difference"] == one["num_only_in_a"] == one["num_only_in_b"] == 0
        assert one["num_utterances"] > 0
        assert one["wer_percent_a"] == one["wer_percent_b"] is not None


@pytest.mark.slow
def test_comparing_loads_neither_torch_nor_prefect(finished: Run) -> None:
    name = finished.config.name
    code = (
        f"import sys; sys.argv = ['distillery', 'evaluate', {name!r}, '--compare', {name!r}]\n"
        "import flows.commands.app\n"
        "try: flows.commands.app.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'transformers', 'prefect'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=finished.folder, env=environment(), check=True, capture_output=True,
    )  # fmt: skip

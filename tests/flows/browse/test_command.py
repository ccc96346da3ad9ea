"""The command `browse`: what it prints, what it refuses, and how it ends."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.flows.running import COMMAND, Run, tiny
from tests.processes import environment, running, wait_for


def test_it_prints_its_address_and_ends_with_ctrl_c(finished: Run, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = [str(COMMAND), "browse", "tiny.yaml", "--marks", str(tmp_path / "marks.jsonl")]
    with running(words, environment(), log, finished.folder) as process:
        [url] = wait_for(
            lambda: [one for one in log.read_text().split() if one.startswith("http:")],
            120,
            "a URL",
        )
        assert url.startswith("http://127.0.0.1:") and len(url.split("/")[3]) >= 32
        assert f"set filter.marks.file: {tmp_path / 'marks.jsonl'}" in log.read_text()
        assert httpx.get(url).is_success
        assert httpx.get(f"{url}summary").json()["total"] > 0
        assert httpx.get("/".join(url.split("/")[:3])).status_code == 403
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert "interrupted; to continue: distillery browse" in log.read_text()
    assert not (tmp_path / "marks.jsonl").exists()


def test_it_refuses_what_cannot_be_browsed(finished: Run, tmp_path: Path) -> None:
    def refused(run: Run, *words: str) -> str:
        return run.here("browse", "tiny.yaml", *words, expect=2).stderr

    assert "no corpus 'ami' in the run; it has librispeech" in refused(finished, "--corpus", "ami")
    assert "no training speech is normalised yet" in refused(tiny(tmp_path))
    assert "is no mark" in refused(finished, "--marks", "tiny.yaml")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        problem = refused(finished, "--port", str(taken.getsockname()[1]))
    assert "Address already in use; leave --port out for a free one" in problem


def test_marks_that_the_configuration_names_must_be_there(tmp_path: Path) -> None:
    run = tiny(tmp_path, filter={"marks": {"file": "mine.jsonl"}})
    problem = run.here("browse", "tiny.yaml", expect=2).stderr
    assert "the file of marks mine.jsonl is missing" in problem and "`touch mine.jsonl`" in problem


@pytest.mark.parametrize(
    "module", ["flows.commands.pages.browse", "flows.browse.room", "flows.browse.index"]
)
def test_it_imports_neither_a_model_nor_prefect(module: str) -> None:
    heavy = {"torch", "transformers", "prefect"}
    code = f"import sys, {module}; sys.exit(bool({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env=environment()).returncode == 0

"""The synthetic corpora of a configuration, written by a process of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.schema import RunConfig
from flows.dispatch.progress import watched_by
from flows.synthetic import synthesise
from storage.errors import DistilleryError, UserError
from storage.store import Store
from tasks.demo.corpora.write import write_corpora
from tasks.demo.formats.archives import MARKER_NAME
from tests.processes import wait_for

ROOT = Path(__file__).parents[2]


def configuration(root: Path, corpora: tuple[str, ...] = ("librispeech",), **changes: Any) -> Any:
    """A configuration of synthetic corpora whose files are in `root/made`."""
    synthetic = {
        "folder": str(root / "made"),
        "seed": 3,
        "num_train_utterances": 4,
        "num_eval_utterances": 1,
    }
    return {
        "root": str(root / "data"),
        "synthetic": synthetic | changes,
        "corpora": {name: {"mirror": str(root / "made" / name)} for name in corpora},
        "label": {"teacher": {"path": str(ROOT / "tasks/demo/teacher")}},
        "publish": {"name": "made"},
    }


def make(root: Path, *corpora: str, **changes: Any) -> None:
    config = RunConfig.model_validate(configuration(root, corpora or ("librispeech",), **changes))
    synthesise(config, Store(config.root))


class Recorder:
    """Progress that remembers what it was given."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, str]] = []
        self.done: list[int] = []

    def bar(self, title: str, total: int, unit: str) -> "Recorder":
        self.bars.append((title, total, unit))
        return self

    def advance(self, num_done: int = 1) -> None:
        self.advance_to(self.done[-1] + num_done)

    def advance_to(self, num_done: int) -> None:
        self.done.append(num_done)

    def say(self, text: str) -> None:
        raise AssertionError(text)


def test_the_corpora_are_written_from_any_directory_and_progress_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder named like the package must not be imported in its place.
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    recorder = Recorder()
    with watched_by(recorder):
        make(tmp_path, "librispeech", "tedlium")
    assert recorder.bars == [("synthesise", 12, "utterances")]
    assert recorder.done == list(range(1, 13))
    expected = write_corpora(tmp_path / "expected", ["librispeech", "tedlium"], 3, 4, 1)
    for name, folder in expected.items():
        for path in folder.iterdir():
            assert (tmp_path / "made" / name / path.name).read_bytes() == path.read_bytes()


def test_expected_failures_are_one_line_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="cannot make the corpus 'fleurs'; it can make ami"):
        make(tmp_path, "fleurs")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        make(tmp_path, folder=str(tmp_path / "file"))
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "espeakng_loader.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    with pytest.raises(UserError, match=r"speech synthesiser is not installed.*pip install"):
        make(tmp_path)


def test_an_unexpected_failure_names_the_status_and_the_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "soxr.py").write_text("raise RuntimeError('broken wheel')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DistilleryError, match=r"status 1, expected 0 \(RuntimeError: broken wheel"):
        make(tmp_path)


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process that calls `synthesise`, and the demo that it has started, halfway through."""
    values = configuration(folder, num_train_utterances=2_000)
    program = (
        # programs started in the background of a shell ignore it
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from configs.schema import RunConfig; from flows.synthetic import synthesise\n"
        "from storage.store import Store\n"
        f"config = RunConfig.model_validate({values!r})\n"
        "synthesise(config, Store(config.root))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    part = folder / "made" / "librispeech" / ".train-clean-100.tar.gz.part"
    with parent:
        try:
            wait_for(lambda: part.exists() and part.stat().st_size > 10_000, 60, "the first bytes")
            [demo] = psutil.Process(parent.pid).children()
            yield parent, demo
        finally:
            parent.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_demo_ends_with_its_parent_and_leaves_nothing_half_written(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path) as (parent, demo):
        os.kill(parent.pid, number)
        parent.wait(30)
        psutil.wait_procs([demo], 30)
        assert not demo.is_running()
    written = [path.name for path in (tmp_path / "made" / "librispeech").iterdir()]
    assert written == [".train-clean-100.tar.gz.part"]
    make(tmp_path)
    assert (tmp_path / "made" / "librispeech" / MARKER_NAME).is_file()


def test_a_killed_demo_is_an_error(tmp_path: Path) -> None:
    with started(tmp_path) as (parent, demo):
        demo.kill()
        _, message = parent.communicate(timeout=30)
    assert "ended with status -9, expected 0 (no message)" in message

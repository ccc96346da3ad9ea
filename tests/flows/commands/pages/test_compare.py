"""`distillery compare` by the command line."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from flows.compare import assets
from storage.errors import UserError
from tests.flows.compare.stand_ins import CONVERTER, interpreter
from tests.flows.running import COMMAND, TEACHER, Run, copied, tiny
from tests.processes import environment


@pytest.fixture
def no_assets_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's library is not looked for."""
    monkeypatch.setattr(assets, "PACKAGES", ())


def test_without_the_library_the_error_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = tiny(tmp_path).distillery("compare", "tiny.yaml", expect=2)
    assert done.stderr.strip().endswith("fetch it: distillery compare --fetch-assets")


@pytest.mark.usefixtures("no_assets_needed")
def test_without_a_student_the_error_names_the_command(tmp_path: Path) -> None:
    done = tiny(tmp_path).distillery("compare", "tiny.yaml", expect=2)
    assert "`distillery run CONFIG --until distil` trains one" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("no_assets_needed")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other", "--with other: evaluate.models has no such model; it has: letters"),
        ("letters", "--with letters: it is a CTC model, and the page runs Whispers"),
    ],
)
def test_further_models_are_whispers_of_the_settings(
    finished: Run, tmp_path: Path, name: str, words: str
) -> None:
    copied(finished, tmp_path)
    run = tiny(tmp_path, evaluate={"models": {"letters": {"path": str(TEACHER), "engine": "ctc"}}})
    done = run.distillery("compare", "tiny.yaml", "--with", name, expect=2)
    assert words in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("no_assets_needed")
def test_without_optimum_the_error_says_how_to_install_it(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    done = run.distillery("compare", "tiny.yaml", "--python", sys.executable, expect=2)
    assert "has no optimum, which onnx needs: python3 -m venv onnx" in done.stderr
    assert "--python onnx/bin/python" in done.stderr


@pytest.mark.slow
def test_it_serves_the_models_until_it_is_interrupted(finished: Run, tmp_path: Path) -> None:
    try:
        assets.find_assets()
    except UserError as error:
        pytest.skip(str(error))
    run = copied(finished, tmp_path / "run")
    python = interpreter(tmp_path, CONVERTER)
    serving = subprocess.Popen(
        [str(COMMAND), "compare", "tiny.yaml", "--python", python],
        cwd=run.folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert serving.stdout is not None
        lines = iter(serving.stdout.readline, "")
        url = next(line.strip() for line in lines if line.startswith("http://"))
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32,}/", url)
        page = httpx.get(url)
        assert '"name": "student"' in page.text
        assert httpx.get(f"{url}models/student/onnx/encoder_model.onnx").text == "encoder"
        assert httpx.get(f"{url}recordings/0.wav").content.startswith(b"RIFF")
        serving.send_signal(signal.SIGINT)
        _, errors = serving.communicate(timeout=60)
    finally:
        serving.kill()
    assert serving.returncode == 130
    assert "student: onnxruntime 1 writes the same text as transformers in 0 of" in errors

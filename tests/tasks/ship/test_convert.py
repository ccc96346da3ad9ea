"""A student is converted by a program that may run in another interpreter; its text is compared."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs.schema import Label, Teacher
from storage.errors import UserError
from tasks.audio import Samples
from tasks.demo.speech.utterances import utterance
from tasks.ship.convert import compare, convert
from tasks.ship.facts import Format, model_size
from tests.flows.running import REPOSITORY, TEACHER

CONVERTERS = REPOSITORY / "tasks" / "ship" / "converters"

LABEL = Label(teacher=Teacher(path=str(TEACHER)))

ONNX_PYTHON = os.environ.get("DISTILLERY_ONNX_PYTHON")
"""An interpreter with Optimum, which needs an older transformers than this project."""

FORMATS = [
    pytest.param("ctranslate2", None),
    pytest.param(
        "onnx",
        ONNX_PYTHON,
        marks=pytest.mark.skipif(
            ONNX_PYTHON is None,
            reason="needs DISTILLERY_ONNX_PYTHON, an interpreter with optimum-onnx[onnxruntime]",
        ),
    ),
]


@pytest.fixture(scope="module")
def windows() -> dict[str, Samples]:
    """Speech of the demo that its teacher understands."""
    random = np.random.default_rng(5)
    spoken = [utterance("ann", random, None).samples for _ in range(3)]
    return {f"window-{place}": 0.5 * samples for place, samples in enumerate(spoken)}


@pytest.mark.slow
@pytest.mark.parametrize(("format", "python"), FORMATS)
def test_the_teacher_writes_the_same_text_in_each_format(
    format: Format, python: str | None, windows: dict[str, Samples], tmp_path: Path
) -> None:
    found = convert(TEACHER, tmp_path / "converted", format, windows, LABEL, python=python)
    assert found.num_same == found.num_windows == 3
    assert found.num_words > 10
    assert found.library.startswith({"onnx": "onnxruntime "}.get(format, "ctranslate2 "))


def interpreter(folder: Path, script: str) -> str:
    """A program that takes the place of an interpreter."""
    program = folder / "python"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "raise SystemExit('missing optimum')",
            "has no optimum, which onnx needs: python3 -m venv",
        ),
        ("raise ValueError('no such operator')", "failed in .*: ValueError: no such operator"),
    ],
)
def test_a_converter_that_fails_is_explained_in_one_line(
    script: str, words: str, tmp_path: Path, windows: dict[str, Samples]
) -> None:
    python = interpreter(tmp_path, script)
    with pytest.raises(UserError, match=words) as raised:
        convert(TEACHER, tmp_path / "out", "onnx", windows, LABEL, python=python)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("format", "library"), [("ctranslate2", "ctranslate2"), ("onnx", "onnxruntime")]
)
@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ImportError(\"cannot import name 'x' from 'y'\")", "ImportError: cannot import name 'x'"),
        ("ModuleNotFoundError('no y', name='y')", "missing y"),
    ],
)
def test_only_a_library_that_is_not_there_is_missing(
    format: Format, library: str, error: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise {error}")
    done = subprocess.run(
        [sys.executable, CONVERTERS / f"to_{format}.py", tmp_path, tmp_path, "none.npz", "{}"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(words)


def test_no_interpreter_at_all_is_a_mistake(tmp_path: Path, windows: dict[str, Samples]) -> None:
    with pytest.raises(UserError, match="is no program that runs"):
        convert(TEACHER, tmp_path / "out", "onnx", windows, LABEL, python=str(tmp_path / "none"))


def test_a_converter_gets_no_secrets(
    tmp_path: Path, windows: dict[str, Samples], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in (
        "HF_TOKEN", "hf_token", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "WANDB_API_KEY",
        "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_API_DATABASE_CONNECTION_URL",
    ):  # fmt: skip
        monkeypatch.setenv(name, "hidden")
    python = interpreter(
        tmp_path,
        "from os import environ\n"
        "found = sorted(name for name, value in environ.items() if value == 'hidden')\n"
        'raise SystemExit(f\'hidden: {found}, {"PATH" in environ}, {environ["OMP_NUM_THREADS"]}\')',
    )
    with pytest.raises(UserError, match=r"hidden: \[\], True, 1"):
        convert(TEACHER, tmp_path / "out", "onnx", windows, LABEL, python=python)


def test_differences_are_counted() -> None:
    found = compare("library 1", [" a b c", "d e"], ["a b c ", "d f"])
    assert (found.num_same, found.num_windows) == (1, 2)
    assert (found.num_word_errors, found.num_words) == (1, 5)
    assert found.first_difference == ("d e", "d f")


def test_the_size_is_that_of_the_weights(tmp_path: Path) -> None:
    size = model_size(TEACHER)
    assert (size.num_parameters, size.encoder_layers, size.decoder_layers) == (3_300_624, 4, 6)
    with pytest.raises(UserError, match="holds no Whisper"):
        model_size(tmp_path)

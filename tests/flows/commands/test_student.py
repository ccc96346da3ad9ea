"""`distillery student` by the command line on a finished run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from typer.testing import CliRunner

from flows.commands.student import app
from storage.errors import UserError
from tasks.demo.speech.utterances import pcm16, utterance
from tests.flows.running import REPOSITORY, TEACHER, Run, copied
from tests.hub_uploads import WRITER, upload_server
from tests.processes import environment

ONNX_PYTHON = os.environ.get("DISTILLERY_ONNX_PYTHON")
"""An interpreter with Optimum, which needs an older transformers than this project."""


@pytest.fixture(scope="module")
def exported(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student of the finished run for transformers."""
    folder = tmp_path_factory.mktemp("exported") / "student"
    done = finished.distillery("student", "export", "tiny.yaml", str(folder))
    assert done.stdout.strip() == f"the student of tiny 1 is in {folder}"
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence as `recording.wav`, in a folder of its own."""
    path = tmp_path_factory.mktemp("recording") / "recording.wav"
    samples = utterance("ann", np.random.default_rng(3), None).samples
    soundfile.write(path, pcm16(0.5 * samples), 16_000)
    return path


def blocks(card: Path) -> list[str]:
    """The programs in a card."""
    return re.findall(r"^```python\n(.*?)^```", card.read_text(), re.MULTILINE | re.DOTALL)


def ran(code: str, recording: Path, folder: Path) -> str:
    """What a program of a card prints beside the recording, with the student in `folder`."""
    named = code.replace('"."', repr(str(folder)))
    named = named.replace('"path/of/the/teacher"', repr(str(TEACHER)))
    done = subprocess.run(
        [sys.executable, "-c", named],
        cwd=recording.parent, env=environment(), check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def test_the_folder_has_the_files_of_the_run_and_a_card(finished: Run, exported: Path) -> None:
    report = finished.json("evaluate")
    stored = finished.root / str(report["student_folder"])
    files = {path.name: path.read_bytes() for path in exported.iterdir()}
    card = files.pop("README.md").decode()
    assert files == {path.name: path.read_bytes() for path in stored.iterdir()}
    assert f"value: {round(report['student']['wer_percent'], 2)}" in card
    # its test speech has one speaker, which tells nothing of others: there is no interval
    assert re.search(r"\| librispeech \| [\d.]+ \| [\d.]+ \|", card)
    assert finished.digest in card
    assert "librispeech/dev-clean" in card
    assert str(TEACHER) not in card


def test_the_rates_by_set_are_those_of_the_stored_weights(finished: Run) -> None:
    [receipt] = (json.loads(data) for data in finished.receipts("distil").values() if data)
    recorded = receipt["recorded"]
    rates = recorded["validation_wer_percent_by_set"].values()
    assert sum(rates) / len(rates) == pytest.approx(recorded["validation_wer_percent"])


@pytest.mark.slow
def test_the_programs_in_the_card_run(exported: Path, recording: Path) -> None:
    alone, assisted = blocks(exported / "README.md")
    assert ran(alone, recording, exported).strip()
    teacher = assisted.replace(", assistant_model=student", "")
    assert ran(assisted, recording, exported) == ran(teacher, recording, exported) != ""


def test_the_student_for_ctranslate2_writes_the_same_text(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    words = ("student", "export", "tiny.yaml", str(folder), "--format", "ctranslate2")
    done = finished.distillery(*words, "--windows", "3")
    assert "writes the same text as transformers in all 3 windows" in done.stdout
    card = (folder / "README.md").read_text()
    assert "the same text as transformers in all 3 windows" in card
    assert "library_name: ctranslate2" in card


@pytest.mark.slow
def test_the_commands_of_the_page_run(finished: Run, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "distillation.md").read_text()
    lines = [line.split() for line in page.splitlines() if line.startswith("distillery student ")]
    assert {words[2] for words in lines} == {"export", "push"}
    run = copied(finished, tmp_path)
    with upload_server() as hub:
        variables = {"HF_ENDPOINT": hub.url, "HF_TOKEN": WRITER, "HF_HUB_DISABLE_XET": "1"}
        run = Run(run.folder, run.config, variables)
        for _, *words in lines:
            if "onnx" not in words or ONNX_PYTHON is not None:
                known = {"CONFIG": "tiny.yaml", "onnx/bin/python": ONNX_PYTHON or ""}
                run.distillery(*(known.get(word, word) for word in words))
    assert list(hub.models) == ["OWNER/NAME"]
    if ONNX_PYTHON is None:
        pytest.skip("all but the one for ONNX")


def test_the_student_of_a_bucket_is_exported(
    finished: Run, exported: Path, s3_bucket: Any, tmp_path: Path
) -> None:
    for path in finished.root.rglob("*"):
        if path.is_file():
            key = f"root/{path.relative_to(finished.root).as_posix()}"
            s3_bucket.put_object(Key=key, Body=path.read_bytes())
    settings = yaml.safe_load(finished.config.read_text())
    config = tmp_path / "bucket.yaml"
    config.write_text(yaml.safe_dump({**settings, "root": f"s3://{s3_bucket.name}/root"}))
    folder = tmp_path / "student"
    finished.distillery("student", "export", str(config), str(folder))
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {path.name: path.read_bytes() for path in exported.iterdir()}


@pytest.mark.slow
@pytest.mark.skipif(
    ONNX_PYTHON is None,
    reason="needs DISTILLERY_ONNX_PYTHON, an interpreter with optimum-onnx[onnxruntime]",
)
def test_the_student_for_onnx_writes_the_same_text(finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    words = ("student", "export", "tiny.yaml", str(folder), "--format", "onnx", "--windows", "3")
    done = finished.distillery(*words, "--python", str(ONNX_PYTHON))
    assert "writes the same text as transformers in all 3 windows" in done.stdout
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert names >= {"README.md", "config.json", "onnx/decoder_model_merged.onnx"}


def test_a_damaged_weight_is_not_exported(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path / "run")
    [victim] = (run.root / "distil").rglob("model.safetensors")
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    folder = tmp_path / "student"
    done = run.distillery("student", "export", "tiny.yaml", str(folder), expect=1)
    assert "model.safetensors has sha256" in done.stderr
    assert "distillery repair tiny.yaml distil/" in done.stderr
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (("export", "tiny.yaml", "."), ". is not empty, and nothing is overwritten"),
        (("export", "tiny.yaml", "new", "--format", "gguf"), "'gguf' is not one of"),
        (("export", "tiny.yaml", "new", "--python", "python3"), "add --format"),
        (
            ("export", "tiny.yaml", "new", "--format", "onnx", "--python", "no-such"),
            "--python no-such is no program that runs",
        ),
        (("push", "tiny.yaml", "someone/student"), "there is no token to push with; set HF_TOKEN"),
    ],
)
def test_a_mistake_is_one_line(
    finished: Run, words: tuple[str, ...], result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    done = finished.distillery("student", *words, expect=2)
    assert result in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (finished.folder / "new").exists()


@pytest.mark.parametrize(
    ("option", "words"), [("--windows", "--windows counts those"), ("--python", "--python names")]
)
def test_an_option_of_other_formats_alone_is_not_ignored(option: str, words: str) -> None:
    done = CliRunner().invoke(app, ["export", "none.yaml", "new", option, "3"])
    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(words)
    assert "add --format, or leave it out" in str(done.exception)


def test_without_a_student_the_command_that_trains_one_is_named(
    stricter: Run, tmp_path: Path
) -> None:
    done = stricter.distillery("student", "export", "tiny.yaml", str(tmp_path / "new"), expect=2)
    assert "there is no student of tiny" in done.stderr
    assert "`distillery run CONFIG --until distil` trains one" in done.stderr


def test_a_student_is_pushed_and_the_token_is_not_shown(finished: Run, exported: Path) -> None:
    with upload_server() as hub:
        variables = {"HF_ENDPOINT": hub.url, "HF_TOKEN": WRITER, "HF_HUB_DISABLE_XET": "1"}
        run = Run(finished.folder, finished.config, variables)
        done = run.distillery("student", "push", "tiny.yaml", "someone/student")
    model = hub.models["someone/student"]
    files = {path.name: path.read_bytes() for path in exported.iterdir()}
    card = files.pop("README.md").decode()
    assert model.files.pop("README.md").decode() == card.replace('"."', '"someone/student"')
    assert model.files == files
    assert (model.private, model.messages) == (True, ["The student of tiny 1"])
    assert f"is at {hub.url}/someone/student/commit/" in done.stdout
    assert WRITER not in done.stdout + done.stderr


def test_export_for_transformers_imports_neither_torch_nor_prefect(
    finished: Run, tmp_path: Path
) -> None:
    code = (
        "import sys, flows.commands.app\n"
        "sys.argv = ['distillery', 'student', 'export', 'tiny.yaml', sys.argv[1]]\n"
        "try: flows.commands.app.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'prefect'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "student")],
        cwd=finished.folder, env=environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()

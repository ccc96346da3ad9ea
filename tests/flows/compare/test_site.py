"""What the server of the page answers, and with which headers."""

import wave
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest

from configs.schema import Label, Teacher
from flows.compare.recordings import Recording, read_recordings
from flows.compare.site import comparison_site
from flows.pages.server import new_token
from flows.student import current_student, speech_to_compare_on
from storage.store import Store
from tests.flows.compare.stand_ins import stand_in
from tests.flows.pages.serving import serving
from tests.flows.running import TEACHER, Run

LABEL = Label(teacher=Teacher(path=str(TEACHER)))
SAMPLES = np.array([0, 1, -1, 32_767, -32_768], np.float32) / 32_768


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A page of two models without weights, and a recording with a hostile reference."""
    (folder / "library.wasm").write_bytes(b"\0asm")
    models = [stand_in(folder / name, name) for name in ("teacher", "student")]
    spoken = Recording(name="a/b/<i>1</i>", reference="</script><b>", samples=SAMPLES)
    assets = {"library.wasm": folder / "library.wasm"}
    token = new_token()
    app = comparison_site("a <b>", models, [spoken], assets, LABEL, token)
    with serving(app, token) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("", "text/html; charset=utf-8"),
        ("compare.js", "text/javascript; charset=utf-8"),
        ("worker.js", "text/javascript; charset=utf-8"),
        ("assets/library.wasm", "application/wasm"),
        ("models/teacher/config.json", "application/json"),
        ("models/student/onnx/encoder_model.onnx", "application/octet-stream"),
        ("recordings/0.wav", "audio/wav"),
    ],
)
def test_every_file_has_its_type_and_the_policy(url: str, path: str, media_type: str) -> None:
    reply = httpx.get(url + path)
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, media_type)
    assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert reply.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src")
    assert "'unsafe-eval'" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "site.py",
        "assets/other.wasm",
        "models/teacher/model.safetensors",
        "models/other/config.json",
        "models/teacher/..%2f..%2flibrary.wasm",
        "recordings/1.wav",
        "recordings/-1.wav",
    ],
)
def test_nothing_else_is_served(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 404


def test_text_from_outside_cannot_leave_its_place(url: str) -> None:
    page = httpx.get(url).text
    assert "<title>a &lt;b&gt;</title>" in page
    assert "</script><b>" not in page
    assert "<i>1</i>" not in page


def test_a_recording_keeps_its_samples(url: str) -> None:
    with wave.open(BytesIO(httpx.get(f"{url}recordings/0.wav").content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(pcm.astype(np.float32) / 32_768, SAMPLES)


@pytest.mark.slow
def test_recordings_are_of_the_held_out_speech(finished: Run) -> None:
    from configs.load import load_config

    config = load_config(finished.config).model_copy(update={"root": str(finished.root)})
    student = current_student(config, Store(str(finished.root)))
    found = read_recordings(
        student.store, speech_to_compare_on(student), num_recordings=3, window_samples=128_000
    )
    assert 1 <= len(found) <= 3
    assert all(one.reference and one.duration_s > 0 for one in found)

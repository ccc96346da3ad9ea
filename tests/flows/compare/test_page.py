"""The page transcribes with the demo's teacher and a student of it, as transformers does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from configs.schema import Label, Teacher
from flows.compare.models import Dtype, WebModel, convert_for_web, quantize_for_web, web_folder
from flows.compare.recordings import Recording
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.distil.student import make_student
from tasks.whisper.model import load_whisper
from tests.flows.compare.page import Page, opened, require_everything
from tests.flows.running import TEACHER

pytestmark = pytest.mark.slow

LABEL = Label(teacher=Teacher(path=str(TEACHER)))
MODELS = ("teacher", "student")


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    """Sentences of the demo, as the 16 bits of a normalised shard have them."""
    random = np.random.default_rng(5)
    sentences = [utterance("ann", random, None).samples for _ in range(2)]
    return [pcm16(0.5 * one).astype(np.float32) / 32_768 for one in sentences]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo's teacher, and its first and last two layers as a student."""
    loaded = load_whisper(LABEL.teacher, "float32", "cpu")
    folder = tmp_path_factory.mktemp("student")
    make_student(loaded.model, (0, 1, 4, 5)).save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    loaded.feature_extractor.save_pretrained(folder)
    return {"teacher": TEACHER, "student": folder}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture(scope="module")
def models(
    sources: dict[str, Path], spoken: list[Samples], scratch: Path
) -> dict[Dtype, list[WebModel]]:
    """Both for a browser, in float32 and with 8 bits."""
    _, python = require_everything()
    found: dict[Dtype, list[WebModel]] = {"fp32": [], "q8": []}
    for name in MODELS:
        floats, small = (web_folder(scratch, name, dtype) for dtype in found)
        window = {"one": spoken[0]}
        assert convert_for_web(sources[name], floats, window, LABEL, python=python).num_same == 1
        quantize_for_web(floats, small, python=python)
        for dtype, folder in (("fp32", floats), ("q8", small)):
            found[dtype].append(WebModel(name=name, folder=folder, dtype=dtype))
    return found


@pytest.fixture(scope="module")
def recordings(spoken: list[Samples]) -> list[Recording]:
    return [
        Recording(name=f"demo/test/{number}", reference="A sentence", samples=samples)
        for number, samples in enumerate(spoken)
    ]


@pytest.fixture(scope="module")
def page(models: dict[Dtype, list[WebModel]], recordings: list[Recording]) -> Iterator[Page]:
    assets, _ = require_everything()
    with opened(models["fp32"], recordings, assets, LABEL) as page:
        page.until_ready()
        yield page


def texts_of_transformers(folder: Path, spoken: list[Samples]) -> list[str]:
    """Greedy text in float32, one recording at a time."""
    whisper = load_whisper(Teacher(path=str(folder)), "float32", "cpu")
    found = []
    for samples in spoken:
        features = whisper.feature_extractor(
            samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
        ).input_features
        with torch.no_grad():
            tokens = whisper.model.generate(
                features, do_sample=False, num_beams=1, max_new_tokens=64,
                language="en", task="transcribe",
            )  # fmt: skip
        found += whisper.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in found]


def test_both_write_what_transformers_writes(
    page: Page, sources: dict[str, Path], spoken: list[Samples]
) -> None:
    expected = [texts_of_transformers(sources[name], spoken) for name in MODELS]
    found = []
    for number in range(len(spoken)):
        page.choose(number)
        found.append(page.transcribe())
    assert [list(texts) for texts in zip(*found, strict=True)] == expected
    assert len(expected[0][0].split()) > 3
    assert page.complaints() == []


def test_timings_are_shown(page: Page) -> None:
    page.transcribe()
    assert "as fast as the teacher end to end" in page.find("#summary").text
    for selector in (".total", ".encoder-time", ".decoder-time"):
        assert all(float(text.removesuffix(" s")) > 0 for text in page.texts(selector))
    *rows, total = page.results
    assert len(rows) == 3
    assert total[0] == "3 recordings"
    first = [float(cell) for cell in total[2:6]]
    assert first[0] > first[1] > 0
    assert first[2] > first[3] > 0
    assert page.facts["Encoder"] == "student: the teacher's"
    assert page.facts["Isolated"].startswith("yes")
    assert "MB" in page.facts["Memory"]


def test_both_at_once_write_the_same(page: Page) -> None:
    page.choose(0)
    one_by_one = page.transcribe()
    page.find("#together").click()
    assert page.transcribe() == one_by_one
    page.find("#together").click()


def test_a_file_of_two_windows_with_two_channels(
    page: Page, spoken: list[Samples], tmp_path: Path
) -> None:
    page.choose(0)
    [text, _] = page.transcribe()
    pause = np.zeros(8 * SAMPLE_RATE_HZ - len(spoken[0]), np.float32)
    samples = np.concatenate([spoken[0], pause, spoken[0]])
    path = tmp_path / "two.flac"
    soundfile.write(path, np.stack([samples, samples], axis=1), SAMPLE_RATE_HZ)
    page.find("#file").send_keys(str(path))
    page.until(lambda: "two.flac" in page.texts("#recording option"), "the file")
    page.until_ready()
    [twice, _] = page.transcribe()
    assert twice.startswith(text)
    assert len(twice) > len(text)


def test_the_microphone_records(page: Page) -> None:
    button = page.find("#microphone")
    button.click()
    page.until(lambda: button.text == "Stop", "recording")
    button.click()
    page.until(lambda: button.text == "Record", "the end")
    page.until_ready()
    assert page.texts("#recording option")[-1].startswith("recorded at ")


def test_a_file_without_sound_is_reported(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_text("no sound")
    page.find("#file").send_keys(str(path))
    page.until(lambda: "text.wav cannot be read" in page.problem, "the problem")
    page.choose(0)


def test_eight_bits_transcribe_too(
    models: dict[Dtype, list[WebModel]], recordings: list[Recording]
) -> None:
    assets, _ = require_everything()
    with opened(models["q8"], recordings, assets, LABEL) as page:
        page.until_ready()
        assert page.facts["Weights"] == "8-bit integers"
        assert len(page.transcribe()[0].split()) > 3

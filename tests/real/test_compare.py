"""In a browser, tiny.en and a student of it write the text that Python writes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import torch

from configs.schema import Label, Teacher
from flows.compare.models import WebModel, convert_for_web, web_folder
from flows.compare.recordings import Recording
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.distil.student import make_student
from tasks.whisper.model import load_whisper
from tests.flows.compare.page import opened, require_everything
from tests.real.reference import Reference
from tests.real.speech import Speech

pytestmark = pytest.mark.real

_LAYERS: Final = (0, 3)  # the first and the last of four
_NUM_UPDATES: Final = 30
_LEARNING_RATE: Final = 5e-4
_DURATIONS_S: Final = (5.0, 15.0)


@pytest.fixture(scope="module")
def utterances(speech: Speech) -> Mapping[str, Samples]:
    """Three utterances of test-clean, by different speakers."""
    by_speaker: dict[str, tuple[str, Samples]] = {}
    for name, samples in speech.utterances().items():
        if _DURATIONS_S[0] <= len(samples) / SAMPLE_RATE_HZ <= _DURATIONS_S[1]:
            by_speaker.setdefault(name.split("-")[0], (name, samples))
    return dict(list(by_speaker.values())[:3])


def taught(teacher: Path, texts: Sequence[str], spoken: Sequence[Samples], folder: Path) -> Path:
    """A student of two decoder layers, which learns these texts so as to write more than noise."""
    loaded = load_whisper(Teacher(path=str(teacher)), "float32", "cpu")
    student: Any = make_student(loaded.model, _LAYERS)
    features = loaded.feature_extractor(
        list(spoken), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
    ).input_features
    with torch.no_grad():
        encoded = student.model.encoder(features).last_hidden_state
    tokens = loaded.tokenizer(list(texts), padding=True, return_tensors="pt")
    labels = tokens.input_ids.masked_fill(tokens.attention_mask == 0, -100)
    decoder = student.model.decoder.layers.requires_grad_(True)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=_LEARNING_RATE)
    for _ in range(_NUM_UPDATES):
        loss = student(
            encoder_outputs=(encoded,),
            decoder_input_ids=tokens.input_ids[:, :-1],
            labels=labels[:, 1:],
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    student.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    loaded.feature_extractor.save_pretrained(folder)
    return folder


def test_three_recordings_have_the_text_of_python(
    teacher: Callable[[str], Path],
    reference: Callable[[str], Reference],
    utterances: Mapping[str, Samples],
    tmp_path: Path,
) -> None:
    assets, python = require_everything()
    spoken = list(utterances.values())
    folder = teacher("tiny.en")
    texts = reference("tiny.en").transcribe(spoken)
    student = taught(folder, texts, spoken, tmp_path / "student")
    expected = {"teacher": texts, "student": Reference(student).transcribe(spoken)}
    label = Label(teacher=Teacher(path=str(folder)))
    models = []
    for name, source in (("teacher", folder), ("student", student)):
        target = web_folder(tmp_path, name, "fp32")
        convert_for_web(source, target, dict(utterances), label, python=python)
        models.append(WebModel(name=name, folder=target, dtype="fp32"))
    recordings = [
        Recording(name=name, reference="", samples=samples) for name, samples in utterances.items()
    ]
    found = []
    with opened(models, recordings, assets, label) as page:
        page.until_ready()
        for number in range(len(recordings)):
            page.choose(number)
            found.append(page.transcribe())
        facts = page.facts
    by_model = dict(zip(expected, map(list, zip(*found, strict=True)), strict=True))
    assert by_model == {name: [one.strip() for one in texts] for name, texts in expected.items()}
    assert facts["Encoder"] == "student: the teacher's"

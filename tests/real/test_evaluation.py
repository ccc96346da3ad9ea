"""Evaluation on real speech with real weights: complete, and as good as transformers."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from transformers import WhisperProcessor

from configs.schema import Teacher
from tasks.distil.student import make_student, save_student
from tasks.whisper.model import load_whisper
from tests.flows.running import COMMAND
from tests.processes import environment
from tests.real.findings import Findings
from tests.real.reference import Reference
from tests.real.results import MeasuredUtterance, Results, word_errors
from tests.real.speech import Speech, utterances_in

pytestmark = pytest.mark.real

_MAX_WER_DIFFERENCE: Final = 0.3  # points
_NUM_DRAFTED: Final = 4


@pytest.fixture(scope="module", params=["tiny.en", "base"])
def name(request: pytest.FixtureRequest, speech: Speech) -> str:
    """The teacher; base takes an hour."""
    chosen: str = request.param
    if chosen == "base" and not speech.is_full:
        pytest.skip("base is evaluated by make real FULL=1")
    return chosen


@pytest.fixture(scope="module")
def measured(name: str, finished: Callable[[str], Results]) -> list[MeasuredUtterance]:
    return finished(name).measured()


def test_every_utterance_is_measured(
    name: str, finished: Callable[[str], Results], measured: list[MeasuredUtterance]
) -> None:
    archive = finished(name).archive("test-clean")
    assert sorted(one.id for one in measured) == sorted(utterances_in(archive))


def test_the_word_error_rate_is_that_of_transformers(
    name: str,
    measured: list[MeasuredUtterance],
    reference: Callable[[str], Reference],
    findings: Findings,
) -> None:
    references = [one.reference for one in measured]
    ours = word_errors(references, [one.hypothesis for one in measured]).wer_percent
    expected = reference(name).transcribe([one.samples for one in measured])
    theirs = word_errors(references, expected).wer_percent
    findings.lines.append(
        f"test-clean, {len(measured)} utterances, {name}: WER {ours:.2f} %,"
        f" transformers {theirs:.2f} %"
    )
    assert ours == pytest.approx(theirs, abs=_MAX_WER_DIFFERENCE)


def test_a_student_drafts_the_text_of_its_teacher(
    name: str,
    measured: list[MeasuredUtterance],
    teacher: Callable[[str], Path],
    reference: Callable[[str], Reference],
    tmp_path: Path,
) -> None:
    """One with half of the layers, so that the teacher rejects drafts as well."""
    whole = load_whisper(Teacher(path=str(teacher(name))))
    num_layers: int = whole.model.config.decoder_layers
    student = make_student(whole.model, num_layers // 2)
    save_student(student, WhisperProcessor(whole.feature_extractor, whole.tokenizer), tmp_path)
    short = [one.samples for one in measured if len(one.samples) <= whole.window_samples]
    alone = reference(name).transcribe(short[:_NUM_DRAFTED])
    assert reference(name).transcribe_with_drafts(short[:_NUM_DRAFTED], tmp_path) == alone


def test_a_student_with_all_layers_is_as_good_as_its_teacher(
    name: str, finished: Callable[[str], Results]
) -> None:
    report = finished(name).report()
    assert report.student.num_utterances == report.teacher.num_utterances
    assert report.student.wer_percent == pytest.approx(
        report.teacher.wer_percent, abs=_MAX_WER_DIFFERENCE
    )


def test_the_command_prints_what_was_measured(
    name: str, finished: Callable[[str], Results], measured: list[MeasuredUtterance]
) -> None:
    results = finished(name)
    done = subprocess.run(
        [str(COMMAND), "evaluate", str(results.path)],
        cwd=results.path.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    wer_percent = word_errors(
        [one.reference for one in measured], [one.hypothesis for one in measured]
    ).wer_percent
    num_utterances = len(utterances_in(results.archive("test-clean")))
    assert f"{wer_percent:.2f}" in done.stdout
    assert f"{num_utterances} of {num_utterances}" in done.stdout

"""Long recordings of real speech, transcribed as transformers and openai-whisper do."""

from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

import pytest

from configs.schema import Label, Teacher
from tasks.audio import Samples
from tasks.evaluate.long_form.chunked import transcribe_chunked
from tasks.evaluate.long_form.sequential import transcribe_sequential
from tasks.whisper.model import load_whisper
from tasks.whisper.whisper import WhisperEngine
from tests.real.findings import Findings
from tests.real.openai import OpenAiWhisper
from tests.real.reference import Reference
from tests.real.speech import Speech

pytestmark = pytest.mark.real

_NUM_CHAPTERS: Final = 2
_MIN_EQUAL_PERCENT: Final = 99.0


@pytest.fixture(scope="module")
def chapters(speech: Speech) -> Mapping[str, Samples]:
    """Chapters of test-clean, each joined to one recording; a sample are the shortest two."""
    joined = speech.chapters()
    shortest = sorted(joined, key=lambda one: len(joined[one]))
    chosen = joined if speech.is_full else shortest[:_NUM_CHAPTERS]
    return {name: joined[name] for name in chosen}


@pytest.fixture(scope="module")
def settings(teacher: Callable[[str], Path]) -> Label:
    return Label(teacher=Teacher(path=str(teacher("tiny.en"))), temperatures=(0.0,))


@pytest.fixture(scope="module")
def engine(settings: Label) -> WhisperEngine:
    return WhisperEngine(load_whisper(settings.teacher, "float32", "cpu"), batch_size=16)


@pytest.mark.parametrize("chunk_s", [15.0, 30.0])
def test_chunked_text_is_that_of_transformers(
    chapters: Mapping[str, Samples],
    engine: WhisperEngine,
    settings: Label,
    reference: Callable[[str], Reference],
    findings: Findings,
    chunk_s: float,
) -> None:
    options = {"chunk_s": chunk_s, "stride_s": chunk_s / 6}
    found = transcribe_chunked(engine, chapters.items(), settings, **options)
    ours = {item[0]: item[1] for item in found if isinstance(item, tuple)}
    theirs = {
        name: reference("tiny.en").transcribe_chunked(one, **options)
        for name, one in chapters.items()
    }
    _require_equal_words(ours, theirs, findings, f"chunks of {chunk_s:g} s, transformers")


def test_sequential_text_is_that_of_openai_whisper(
    chapters: Mapping[str, Samples],
    engine: WhisperEngine,
    settings: Label,
    teacher: Callable[[str], Path],
    findings: Findings,
) -> None:
    original = OpenAiWhisper(teacher("tiny.en"))
    found = transcribe_sequential(engine, chapters.items(), settings)
    ours = {item[0]: item[1] for item in found if isinstance(item, tuple)}
    theirs = {name: original.transcribe(one) for name, one in chapters.items()}
    _require_equal_words(ours, theirs, findings, "sequential, openai-whisper")


def _require_equal_words(
    ours: Mapping[str, str], theirs: Mapping[str, str], findings: Findings, what: str
) -> None:
    """Assert that almost all words are equal, and report each difference."""
    num_words = num_equal = 0
    assert ours.keys() == theirs.keys()
    for name, text in theirs.items():
        expected, words = text.split(), ours[name].split()
        matcher = SequenceMatcher(None, expected, words, autojunk=False)
        num_words += max(len(expected), len(words))
        num_equal += sum(block.size for block in matcher.get_matching_blocks())
        findings.lines += [
            f"{name}: {' '.join(words[first:last])!r}, {what}: {' '.join(expected[start:end])!r}"
            for tag, start, end, first, last in matcher.get_opcodes()
            if tag != "equal"
        ]
    findings.lines.append(f"{what}: {num_equal:,} of {num_words:,} words are equal")
    assert num_equal >= num_words * _MIN_EQUAL_PERCENT / 100

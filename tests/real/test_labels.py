"""Labels of real speech by a real Whisper, compared with transformers on the same windows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from configs.schema import Label, Teacher
from tasks.whisper.engine import AudioWindow
from tasks.whisper.engines import whisper_engine
from tasks.whisper.model import load_whisper
from tasks.whisper.tokens import SpecialTokens
from tasks.whisper.transcribe import transcribe_all
from tests.real.conftest import Compared, evenly
from tests.real.findings import early_ends, kept_percent
from tests.real.reference import Reference
from tests.real.results import LabelledWindow, word_errors
from tests.real.speech import NUM_JOINED, Speech

pytestmark = pytest.mark.real

_NUM_PLAIN: Final = 16
_MAX_DIFFERENT_PERCENT: Final = 1.0
_MAX_WER_DIFFERENCE: Final = 0.3  # points
_MIN_KEPT_PERCENT: Final = {"books": 85.0, "learners": 15.0}
_MIN_KEPT_OF_SAMPLE_PERCENT: Final = {"books": 80.0, "learners": 15.0}


def of_corpus(corpus: str, windows: Sequence[LabelledWindow]) -> list[LabelledWindow]:
    return [one for one in windows if one.corpus == corpus]


def test_text_without_timestamps_is_that_of_transformers(
    speech: Speech,
    windows: Sequence[LabelledWindow],
    teacher: Callable[[str], Path],
    reference: Callable[[str], Reference],
) -> None:
    chosen = evenly(windows, None if speech.is_full else _NUM_PLAIN)
    settings = Teacher(path=str(teacher("tiny.en")))
    engine = whisper_engine(load_whisper(settings, "float32", "cpu"), batch_size=16)
    stream = ((one.window_id, AudioWindow(one.window_id, one.samples)) for one in chosen)
    decoded = list(transcribe_all(engine, stream, Label(teacher=settings, temperatures=(0.0,))))
    expected = reference("tiny.en").transcribe([one.samples for one in chosen])
    ours = {window_id: transcript.text.strip() for window_id, transcript in decoded}
    theirs = {one.window_id: text for one, text in zip(chosen, expected, strict=True)}
    assert ours == theirs


def test_text_with_timestamps_is_that_of_transformers(compared: Compared) -> None:
    different = {one.window_id: (one.text, text) for one, text in compared if one.text != text}
    assert len(different) <= len(compared) * _MAX_DIFFERENT_PERCENT / 100, different


@pytest.mark.parametrize("corpus", ["books", "learners"])
def test_the_word_error_rate_is_that_of_transformers(compared: Compared, corpus: str) -> None:
    pairs = [(one, text) for one, text in compared if one.corpus == corpus]
    references = [one.reference for one, _ in pairs]
    ours = word_errors(references, [one.text for one, _ in pairs]).wer_percent
    theirs = word_errors(references, [text for _, text in pairs]).wer_percent
    assert ours == pytest.approx(theirs, abs=_MAX_WER_DIFFERENCE)


def test_no_label_ends_before_the_speech(
    windows: Sequence[LabelledWindow], special: SpecialTokens
) -> None:
    early = early_ends(windows, special)
    assert not [one.window_id for one in early if one.is_kept]
    assert not [one.window_id for one in early if "early_end" not in one.flags]
    assert not [one.window_id for one in early if one.corpus == "books"]


def test_labels_state_their_segments_and_where_they_end(
    windows: Sequence[LabelledWindow], special: SpecialTokens
) -> None:
    stated = {one.window_id: one.columns["last_segment_end_s"] for one in windows}
    assert stated == {one.window_id: pytest.approx(one.end_s(special)) for one in windows}
    assert all(one.columns["num_segments"] >= 1 for one in windows if one.text)


@pytest.mark.parametrize("corpus", _MIN_KEPT_PERCENT)
def test_the_expected_share_of_the_hours_is_kept(
    speech: Speech, windows: Sequence[LabelledWindow], corpus: str
) -> None:
    """The sampled speakers of `books` are among the harder ones; most of `learners` is dropped."""
    expected = _MIN_KEPT_PERCENT if speech.is_full else _MIN_KEPT_OF_SAMPLE_PERCENT
    assert kept_percent(of_corpus(corpus, windows)) >= expected[corpus]


def test_recordings_without_transcripts_are_cut_at_pauses(
    windows: Sequence[LabelledWindow],
) -> None:
    """Each was joined from utterances, with pauses between them."""
    labelled = of_corpus("untranscribed", windows)
    segments = [segment for one in labelled for segment in one.columns["utterance_ids"]]
    recordings = {segment.split("-")[0] for segment in segments}
    assert len(segments) >= len(recordings) * NUM_JOINED
    assert kept_percent(labelled) >= 80

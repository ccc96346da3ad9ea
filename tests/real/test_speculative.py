"""A draft changes no token of real speech, at any batch size, greedily and with fallback."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from configs.schema import Label, Teacher
from tasks.audio import Samples, decode, to_whisper_rate
from tasks.distil.student import make_student
from tasks.evaluate.speculative import measure_speculative
from tasks.whisper.model import load_whisper
from tests.real.findings import Findings
from tests.real.speech import Speech

pytestmark = pytest.mark.real

_BATCH_SIZES: Final = (1, 4, 16)
_NUM_SAMPLED: Final = 6
_MIN_AVG_LOGPROB: Final = -0.25  # so that many windows are sampled


@pytest.mark.parametrize("name", ["tiny.en", "base"])
def test_tokens_with_a_draft_are_those_of_the_teacher(
    name: str, speech: Speech, teacher: Callable[[str], Path], findings: Findings
) -> None:
    """The draft lacks a layer of the decoder, so that the teacher rejects some of its tokens."""
    if name == "base" and not speech.is_full:
        pytest.skip("base drafts in make real FULL=1")
    settings = Label(teacher=Teacher(path=str(teacher(name))), min_avg_logprob=_MIN_AVG_LOGPROB)
    whole = load_whisper(settings.teacher, "float32", "cpu")
    last = whole.model.config.decoder_layers - 1
    draft = replace(whole, model=make_student(whole.model, (*range(last - 1), last)))
    waveforms = list(_utterances(speech, whole.window_samples))
    results = measure_speculative(
        whole,
        draft,
        waveforms,
        settings,
        batch_sizes=_BATCH_SIZES,
        num_rounds=1,
        num_drafted=4,
    )
    assert [(one.batch_size, one.fallback) for one in results] == [
        (1, False),
        (1, True),
        (4, False),
        (16, False),
    ]
    for one in results:
        findings.lines.append(
            f"{name} with a draft, batch {one.batch_size}, {'' if one.fallback else 'no '}fallback:"
            f" {one.num_identical} of {one.num_utterances} identical,"
            f" {one.acceptance_percent:.1f} % accepted"
        )
        assert one.num_identical == one.num_utterances == len(waveforms)
        assert one.acceptance_percent > 0


def _utterances(speech: Speech, window_samples: int) -> Iterator[Samples]:
    """Utterances without transcripts, the shortest of them in a sample."""
    folder = speech.folder / "untranscribed"
    rows = sorted(speech.table("untranscribed"), key=lambda row: float(row["duration_s"]))
    for row in rows if speech.is_full else rows[:_NUM_SAMPLED]:
        pcm = to_whisper_rate(decode((folder / row["audio"]).read_bytes()))
        if len(pcm) <= window_samples:
            yield (pcm / 32768).astype("float32")

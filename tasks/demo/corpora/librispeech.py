"""A demo corpus in the distribution format of LibriSpeech.

One tar.gz per part, one FLAC file per utterance, one transcript per chapter.

Defects (see `tasks.demo.speech.utterances`), in train-clean-100 only: an unreadable FLAC, a
transcript line without a file, a line with an id and no words, an utterance longer than the
teacher's window, wrong transcripts. Edge cases, there too: a recording without speech, and a copy
of the first utterance of test-clean.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from tasks.demo.formats.archives import Archive, Member
from tasks.demo.formats.flac import flac_file
from tasks.demo.speech.utterances import (
    Defect,
    FloatArray,
    close_recording,
    defect_at,
    pcm16,
    utterance,
)
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

UTTERANCES_A_CHAPTER = 10
CHAPTERS_A_SPEAKER = 2
# As in the original, parts have disjoint speakers.
_FIRST_SPEAKER = {"train-clean-100": 1001, "dev-clean": 5001, "test-clean": 7001}
_NO_SPEECH_AT, _COPY_AT = 12, 14  # training utterances, from 0
_NO_SPEECH_S = 0.12
_README = (
    b"Synthetic speech in the layout of LibriSpeech, made by Distillery's demo with espeak-ng.\n"
)


def librispeech_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Archive, ...]:
    """The three archives; `on_utterance` is called after each utterance."""
    return tuple(
        Archive(
            name=f"{part}.tar.gz",
            members=partial(
                _members,
                part,
                seed,
                num_train_utterances if index == 0 else num_eval_utterances,
                on_utterance,
            ),
        )
        for index, part in enumerate(_FIRST_SPEAKER)
    )


def _members(
    part: str, seed: int, num_utterances: int, on_utterance: Callable[[], None]
) -> Iterator[Member]:
    """The chapters in order; each has its recordings, then the transcript."""
    yield Member(path="LibriSpeech/README.TXT", content=_README)
    first_speaker = _FIRST_SPEAKER[part]
    for first in range(0, num_utterances, UTTERANCES_A_CHAPTER):
        chapter_index = first // UTTERANCES_A_CHAPTER
        speaker = first_speaker + chapter_index // CHAPTERS_A_SPEAKER
        chapter = 100 * first_speaker + chapter_index
        rng = np.random.default_rng([seed, chapter])
        lines = []
        for index in range(first, min(first + UTTERANCES_A_CHAPTER, num_utterances)):
            defect = defect_at(index) if part.startswith("train") else None
            utterance_id = f"{speaker}-{chapter}-{index - first:04d}"
            speech = utterance(f"librispeech {speaker}", rng, defect)
            transcript, samples = speech.transcript, close_recording(speech.samples, rng)
            if part.startswith("train") and index == _NO_SPEECH_AT:
                samples = _no_speech()
            elif part.startswith("train") and index == _COPY_AT:
                transcript, samples = _first("test-clean", seed)
            flac = flac_file(pcm16(samples), SAMPLE_RATE_HZ)
            if defect is Defect.UNREADABLE_AUDIO:
                flac = flac[:4] + bytes(byte ^ 0xFF for byte in flac[4:])
            if defect is not Defect.MISSING_AUDIO:
                yield Member(
                    path=f"LibriSpeech/{part}/{speaker}/{chapter}/{utterance_id}.flac", content=flac
                )
            lines.append(f"{utterance_id} {transcript.upper()}\n")
            on_utterance()
        transcript_path = f"LibriSpeech/{part}/{speaker}/{chapter}/{speaker}-{chapter}.trans.txt"
        yield Member(path=transcript_path, content="".join(lines).encode())


def _no_speech() -> FloatArray:
    """A short constant signal, (samples,) float32, as when a microphone is plugged in."""
    return np.full(round(_NO_SPEECH_S * SAMPLE_RATE_HZ), 0.3, np.float32)


def _first(part: str, seed: int) -> tuple[str, FloatArray]:
    """Text and audio of the first utterance of a part."""
    speaker = _FIRST_SPEAKER[part]
    rng = np.random.default_rng([seed, 100 * speaker])
    speech = utterance(f"librispeech {speaker}", rng, None)
    return speech.transcript, close_recording(speech.samples, rng)

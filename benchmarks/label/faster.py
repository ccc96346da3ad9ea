"""The batched pipeline of faster-whisper as an engine; needs the package faster-whisper."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.label.ctranslate import (
    Layout,
    Results,
    in_batches,
    in_workers,
    same_num_threads,
)
from configs.schema import Label
from tasks.audio import SAMPLE_RATE_HZ
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions
from tasks.whisper.model import LoadedWhisper

if TYPE_CHECKING:
    from faster_whisper import BatchedInferencePipeline


@dataclass(frozen=True)
class FasterWhisperEngine:
    """Greedy decoding without timestamps; features are the package's own.

    Windows are given as clips of one long recording, so that its voice activity detection does not
    cut them again.
    """

    pipeline: "BatchedInferencePipeline"
    whisper: LoadedWhisper
    batch_size: int
    layout: Layout

    @property
    def window_samples(self) -> int:
        """The longest window it accepts, in samples at 16 kHz."""
        return self.whisper.window_samples

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Yield windows and results; see `Engine`."""
        yield from in_workers(
            (
                partial(self._transcribe, batch, settings)
                for batch in in_batches(windows, self.batch_size)
            ),
            self.layout.num_workers,
        )

    def _transcribe(self, batch: Sequence[AudioWindow], settings: Label) -> Results:
        ends = np.cumsum([len(window.samples) for window in batch])
        starts = [0, *ends[:-1].tolist()]
        # it rounds down to samples, from which half a sample protects
        clips = [
            {"start": (start + 0.5) / SAMPLE_RATE_HZ, "end": (end + 0.5) / SAMPLE_RATE_HZ}
            for start, end in zip(starts, ends.tolist(), strict=True)
        ]
        segments, _ = self.pipeline.transcribe(
            np.concatenate([window.samples for window in batch]),
            language=settings.language,
            task=settings.task,
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            clip_timestamps=clips,
            batch_size=self.batch_size,
        )
        texts, tokens = [""] * len(batch), [list[int]() for _ in batch]
        for segment in segments:
            number = bisect_right(starts, round(segment.start * SAMPLE_RATE_HZ) + 16) - 1
            texts[number] += segment.text
            tokens[number] += segment.tokens
        return list(self._results(batch, texts, tokens))

    def _results(
        self, batch: Sequence[AudioWindow], texts: Sequence[str], tokens: Sequence[list[int]]
    ) -> Iterator[tuple[AudioWindow, DecodingResult]]:
        end_id: int = self.whisper.model.generation_config.eos_token_id
        for window, text, generated in zip(batch, texts, tokens, strict=True):
            yield (
                window,
                DecodingResult(
                    text=text.strip(),
                    tokens=(*generated, end_id),
                    avg_logprob=0.0,
                    no_speech_prob=0.0,
                    has_end=True,
                ),
            )


def faster_whisper_engine(
    folder: Path, whisper: LoadedWhisper, compute_type: str, batch_size: int, layout: Layout
) -> FasterWhisperEngine:
    """The engine over a model converted for CTranslate2, on the device of `whisper`."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    with same_num_threads():
        model = WhisperModel(
            str(folder),
            device=whisper.model.device.type,
            compute_type=compute_type,
            cpu_threads=layout.num_threads,
            num_workers=layout.num_workers,
            local_files_only=True,
        )
    return FasterWhisperEngine(BatchedInferencePipeline(model), whisper, batch_size, layout)

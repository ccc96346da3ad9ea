"""Speed of several models on long recordings, by each algorithm."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pyarrow.parquet as pq

from configs.schema import Label, LongForm, RunConfig
from storage.outcome import Rejected
from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.corpora.registry import corpus_of_run
from tasks.evaluate.engine import teachers_window
from tasks.evaluate.findings import SpeedResult
from tasks.evaluate.long_form.chunked import transcribe_chunked
from tasks.evaluate.long_form.recordings import join_recordings
from tasks.evaluate.long_form.sequential import transcribe_sequential
from tasks.evaluate.spoken import speech_of
from tasks.evaluate.timing import alternate, speed_results
from tasks.job import row_batches
from tasks.text.comparison import comparison_of, normaliser
from tasks.whisper.ctc import CtcEngine
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine

BATCH_SIZE: Final = 16
"""Chunks, or recordings, that are decoded at once: that of the paper (Table 5)."""
_MAX_SAMPLES: Final = 300 * SAMPLE_RATE_HZ

_Engine = WhisperEngine | CtcEngine
_Transcribe = Callable[[Iterable[tuple[None, Samples]]], Iterator[object]]


@dataclass(frozen=True, slots=True)
class _Transcribing:
    """Long recordings from waveforms to text."""

    transcribe: _Transcribe
    recordings: Sequence[Samples]

    def __call__(self) -> None:
        self._run(self.recordings)

    def warm_up(self) -> None:
        self._run(self.recordings[:1])

    def _run(self, recordings: Sequence[Samples]) -> None:
        for _ in self.transcribe((None, one) for one in recordings):
            pass


def measure_long_form_speed(
    config: RunConfig,
    store: Store,
    models: Mapping[str, LoadedWhisper | CtcEngine],
    audio: Sequence[tuple[str, FileRef]],
) -> Iterator[SpeedResult]:
    """Time the models on the same long recordings, in rounds that alternate.

    `audio` are normalised shards, each with its set. Up to five minutes are transcribed, and no
    more than `evaluate.num_timed_utterances` windows: of each set the first recordings that are
    longer than the teacher's. Nothing is measured if there are none. A CTC model has no sequential
    algorithm.
    """
    settings = config.evaluate.long_form or LongForm()
    engines: dict[str, _Engine] = {
        name: WhisperEngine(one, BATCH_SIZE) if isinstance(one, LoadedWhisper) else one
        for name, one in models.items()
    }
    window_samples = teachers_window(config)
    num_samples = min(_MAX_SAMPLES, config.evaluate.num_timed_utterances * window_samples)
    recordings = _sample(config, store, audio, settings, window_samples, num_samples)
    for algorithm in settings.algorithms if recordings else ():
        work = {
            name: _Transcribing(_method(algorithm, engine, config.label, settings), recordings)
            for name, engine in engines.items()
            if algorithm == "chunked" or isinstance(engine, WhisperEngine)
        }
        for one in work.values():
            one.warm_up()
        rounds = alternate(work, config.evaluate.num_timing_rounds)
        yield from speed_results(rounds, algorithm, recordings, batch_size=BATCH_SIZE)


def _method(algorithm: str, engine: _Engine, label: Label, settings: LongForm) -> _Transcribe:
    if algorithm == "sequential" and isinstance(engine, WhisperEngine):
        return lambda recordings: transcribe_sequential(engine, recordings, label)
    return lambda recordings: transcribe_chunked(
        engine, recordings, label, chunk_s=settings.chunk_s, stride_s=settings.overlap_s
    )


def _sample(
    config: RunConfig,
    store: Store,
    audio: Sequence[tuple[str, FileRef]],
    settings: LongForm,
    window_samples: int,
    num_samples: int,
) -> list[Samples]:
    """The beginning of long recordings, at most `num_samples` in all.

    Each set has an equal share; where that would be less than two windows, there is none of the
    last sets.
    """
    sets: dict[str, list[FileRef]] = {}
    for name, file in audio:
        sets.setdefault(name, []).append(file)
    found: list[Samples] = []
    share = max(num_samples // max(1, len(sets)), 2 * window_samples)
    for name, files in sets.items():
        num_left = min(share, num_samples - sum(map(len, found)))
        with closing(_recordings(config, store, name, files, settings)) as recordings:
            while num_left > window_samples and (samples := next(recordings, None)) is not None:
                if len(samples) > window_samples:
                    found.append(samples[:num_left].copy())  # not the whole, which may last hours
                    num_left -= len(samples)
    return found


def _recordings(
    config: RunConfig, store: Store, name: str, files: Sequence[FileRef], settings: LongForm
) -> Generator[Samples, None, None]:
    clean = corpus_of_run(config, name.partition("/")[0]).clean
    normalise = normaliser(comparison_of(config.score, config.label).normaliser)
    for file in files:
        with store.fetch(file) as path:
            batches = row_batches(pq.ParquetFile(path, pre_buffer=False))
            # one at a time, since few are taken
            speech = speech_of(batches, clean, normalise, num_threads=1, window_samples=0)
            with closing(speech):
                for item in join_recordings(speech, normalise, join=settings.join):
                    if not isinstance(item, Rejected):
                        yield item[1]

"""Peak memory of labelling shards of many short windows, each in a process of its own."""

import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.label.speech import Speech, write_speech
from configs.schema import Label, Teacher
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions

EngineKind = Literal["engine", "stub"]

_SECONDS = 2.0  # so that a thousand fill several row groups
_WINDOW_SAMPLES = 8 * 16_000
_DEMO = Teacher(path="tasks/demo/teacher")


class Stub:
    """An engine without a model: it takes windows by the batch and returns them reversed."""

    @property
    def window_samples(self) -> int:
        """The window of the demo's teacher."""
        return _WINDOW_SAMPLES

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Yield one word for each window."""
        stream = iter(windows)
        while batch := list(islice(stream, 64)):
            for window in reversed(batch):
                yield window, DecodingResult("word", tuple(range(20)), -0.1, 0.0, has_end=True)


def peaks_mb(counts: Iterable[int], kind: EngineKind) -> dict[int, float]:
    """Peak resident memory in MB by number of windows, one utterance each.

    Arrow's allocator is set to return freed memory at once instead of after 10 ms; otherwise peaks
    would grow with the number of row groups by chance.
    """
    os.environ["MIMALLOC_PURGE_DELAY"] = "0"  # read by the processes below when they start
    fresh = get_context("spawn")  # so that no process inherits the memory of another
    found = {}
    for count in counts:
        with TemporaryDirectory() as folder:
            speech = write_speech(
                Path(folder) / "speech.parquet",
                count * _SECONDS,
                30.0,
                spoken=False,
                max_s=_SECONDS,
            )
            with ProcessPoolExecutor(1, mp_context=fresh) as pool:
                found[len(speech.texts)] = pool.submit(_peak_mb, speech, kind).result()
    return found


def _peak_mb(speech: Speech, kind: EngineKind) -> float:
    from benchmarks.label.contender import commit_labels
    from tasks.label.shard import label_shard

    settings = Label(teacher=_DEMO, pack="none", temperatures=(0.0,))
    with TemporaryDirectory() as folder:
        outcomes = label_shard(speech.batches(), _engine(kind), settings)
        commit_labels(Path(folder), speech, outcomes)
    # ru_maxrss would include the memory of the parent at the time of the fork
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) / 1024


def _engine(kind: EngineKind) -> Engine:
    if kind == "stub":
        return Stub()
    from tasks.whisper.model import load_whisper
    from tasks.whisper.whisper import WhisperEngine

    return WhisperEngine(load_whisper(_DEMO, device="cpu"), 16)

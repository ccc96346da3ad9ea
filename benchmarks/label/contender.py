"""What is compared: engines that label the same shard, from a file or from audio in memory."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from benchmarks.label.speech import Speech
from configs.schema import Label
from storage.commit import Commit
from storage.outcome import Outcome, Outcomes, Rejected
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.label.shard import label_shard
from tasks.label.stage import LABEL
from tasks.label.windows import Window, pack
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.streaming import Utterance, decode_utterances

Packing = Literal["none", "speaker"]


@dataclass(frozen=True)
class Contender:
    """An engine at one precision; `key` is the same at all precisions."""

    key: str
    title: str
    dtype: str
    engine: Engine
    packing: Packing = "speaker"

    @property
    def name(self) -> str:
        """Key and precision, such as `engine.float32`."""
        return f"{self.key}.{self.dtype}"


@dataclass(frozen=True)
class Labelled:
    """Texts by window id, and the tokens of each, end token included and prompt not."""

    texts: dict[str, str]
    tokens: dict[str, tuple[int, ...]]

    @property
    def num_tokens(self) -> int:
        """All generated tokens."""
        return sum(map(len, self.tokens.values()))


@dataclass(frozen=True)
class Prepared:
    """A window of a shard, and its audio in memory."""

    window: Window[Utterance]
    audio: AudioWindow


@dataclass(frozen=True)
class Job:
    """A shard to label, and how: `end_id` is the teacher's end token, above all tokens of text."""

    speech: Speech
    settings: Label
    folder: Path
    num_threads: int
    end_id: int

    def end_to_end(self, contender: Contender) -> Labelled:
        """From the Parquet file to committed labels, with the pipeline's reading and packing."""
        settings = self.settings.model_copy(update={"pack": contender.packing})
        outcomes = label_shard(
            self.speech.batches(), contender.engine, settings, num_threads=self.num_threads
        )
        batches: list[pa.RecordBatch] = []
        commit_labels(self.folder, self.speech, _kept(outcomes, batches))
        rows = [row for batch in batches for row in batch.to_pylist()]
        return self._labelled(
            (row["window_id"], row["pseudo_text"], row["pseudo_tokens"]) for row in rows
        )

    def in_memory(self, contender: Contender, windows: Sequence[Prepared]) -> Labelled:
        """From audio in memory to text."""
        results = contender.engine.transcribe([one.audio for one in windows], self.settings)
        return self._labelled((window.id, result.text, result.tokens) for window, result in results)

    def _labelled(self, labels: Iterable[tuple[str, str, Sequence[int]]]) -> Labelled:
        found = Labelled({}, {})
        for window_id, text, tokens in labels:
            found.texts[window_id] = text
            # the tokens of the prompt are above the end token
            found.tokens[window_id] = tuple(token for token in tokens if token <= self.end_id)
        return found


def prepared(speech: Speech, window_samples: int, packing: Packing) -> list[Prepared]:
    """All windows of a shard, in order."""
    windows = []
    with closing(decode_utterances(speech.batches(), num_threads=2)) as read:
        for window in pack(read, window_samples, packing):
            assert not isinstance(window, Rejected), window
            samples = np.concatenate([utterance.samples for utterance in window.utterances])
            windows.append(Prepared(window, AudioWindow(window.window_id, samples)))
    return windows


def commit_labels(folder: Path, speech: Speech, outcomes: Outcomes) -> None:
    """Commit a shard's labels as the pipeline does."""
    commit = Commit(
        store=Store(str(folder)),
        table=LABEL.table,
        place=Place(stage="label", fingerprint="bench", key=ShardKey("bench", "train", 0)),
        sources=(os.urandom(32).hex(),),
        ids_in=list(speech.texts),
        max_quarantined_percent=0,
    )
    commit(outcomes)


def _kept(outcomes: Outcomes, batches: list[pa.RecordBatch]) -> Iterator[Outcome]:
    """Pass outcomes on, and keep the batches."""
    for outcome in outcomes:
        if isinstance(outcome, pa.RecordBatch):
            batches.append(outcome)
        yield outcome

"""The contenders of `benchmarks.label`, each of which labels and commits the same shard."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch

from benchmarks.label_speech import Speech
from configs.schema import Label
from storage.commit import Commit
from storage.outcome import Outcomes, Rejected
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.label.schema import LABELS
from tasks.label.shard import label_shard
from tasks.label.stage import LABEL
from tasks.label.windows import Window, pack
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.model import LoadedWhisper, log_mel, silent_transformers
from tasks.whisper.streaming import Utterance, decode_utterances

GENERATE_BATCH = 64

Packing = Literal["none", "speaker"]


@dataclass(frozen=True)
class Prepared:
    """A window of a shard, and its audio in memory."""

    window: Window[Utterance]
    audio: AudioWindow


@dataclass(frozen=True)
class Contender:
    """One way to label a shard.

    `to_labels` goes from the Parquet file to committed labels, `to_text` from audio in memory to
    text, and returns the number of generated tokens, end tokens included.
    """

    key: str
    title: str
    packing: Packing
    to_labels: Callable[[], None]
    to_text: Callable[[], int]


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
        ids_in=speech.ids(),
        max_quarantined_percent=0,
    )
    commit(outcomes)


def with_engine(
    key: str,
    title: str,
    engine: Engine,
    speech: Speech,
    settings: Label,
    folder: Path,
    num_threads: int,
) -> Contender:
    """An engine with the pipeline's decoding, packing and commit."""
    windows = prepared(speech, engine.window_samples, "speaker")

    def to_labels() -> None:
        outcomes = label_shard(speech.batches(), engine, settings, num_threads=num_threads)
        commit_labels(folder, speech, outcomes)

    def to_text() -> int:
        results = engine.transcribe([one.audio for one in windows], settings)
        return sum(len(result.tokens) - 4 for _, result in results)

    return Contender(key, title, "speaker", to_labels, to_text)


def with_generate(
    key: str,
    title: str,
    teacher: LoadedWhisper,
    speech: Speech,
    packing: Packing,
    folder: Path,
    max_new_tokens: int,
) -> Contender:
    """`generate` of transformers, in batches of 64 windows of similar length.

    It does less than the pipeline: no log-probabilities, no checks, everything in memory.
    """
    windows = prepared(speech, teacher.window_samples, packing)

    def to_labels() -> None:
        shard = prepared(speech, teacher.window_samples, packing)
        batches = generated(teacher, shard, max_new_tokens)
        commit_labels(folder, speech, (_labels(batch) for batch in batches))

    def to_text() -> int:
        batches = generated(teacher, windows, max_new_tokens)
        return sum(len(one.tokens) for batch in batches for one in batch)

    return Contender(key, title, packing, to_labels, to_text)


@dataclass(frozen=True)
class Generated:
    """The result of `generate` for a window: tokens with the end token, and their text."""

    window: Window[Utterance]
    tokens: list[int]
    text: str


def generated(
    teacher: LoadedWhisper, windows: Iterable[Prepared], max_new_tokens: int
) -> Iterator[list[Generated]]:
    """Generate batch by batch, longest first, to minimise padding."""
    model: Any = teacher.model
    ordered = sorted(windows, key=lambda one: -len(one.audio.samples))
    end = model.generation_config.eos_token_id
    for start in range(0, len(ordered), GENERATE_BATCH):
        batch = ordered[start : start + GENERATE_BATCH]
        features = log_mel(teacher, [one.audio.samples for one in batch])
        with silent_transformers():
            tokens = model.generate(
                features,
                attention_mask=torch.ones(features.shape[::2], device=features.device),
                language="en",
                task="transcribe",
                return_timestamps=False,
                do_sample=False,
                num_beams=1,
                max_new_tokens=max_new_tokens,
            ).tolist()
        texts = teacher.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        yield [
            Generated(one.window, _ended(sampled, end, max_new_tokens), str(text).strip())
            for one, sampled, text in zip(batch, tokens, texts, strict=True)
        ]


def _ended(tokens: list[int], end: int, max_new_tokens: int) -> list[int]:
    """Add one end token, which `generate` strips from rows as long as their batch."""
    text = tokens[: tokens.index(end)] if end in tokens else tokens
    return [*text, end] if len(text) < max_new_tokens else text


def _labels(batch: Sequence[Generated]) -> pa.RecordBatch:
    rows = [
        {
            "window_id": one.window.window_id,
            "utterance_ids": [utterance.id for utterance in one.window.utterances],
            "offsets_s": one.window.offsets_s,
            "duration_s": one.window.num_samples / 16_000,
            "pseudo_text": one.text,
            "pseudo_tokens": one.tokens,
            "previous_window_id": one.window.previous_window_id,
            "avg_logprob": 0.0,
            "no_speech_prob": 0.0,
            "compression_ratio": 0.0,
            "temperature": 0.0,
            "flags": [],
            "language": "en",
        }
        for one in batch
    ]
    return pa.RecordBatch.from_pylist(rows, schema=LABELS)


@torch.inference_mode()
def encode_alone(teacher: LoadedWhisper, windows: Sequence[Prepared], num_at_once: int) -> None:
    """Compute features and encoder output of all windows, which every engine needs, and no more."""
    from tasks.whisper.features import LogMel

    model: Any = teacher.model
    features = LogMel(teacher.feature_extractor, model.device, model.dtype)
    for start in range(0, len(windows), num_at_once):
        batch = windows[start : start + num_at_once]
        model.model.encoder(features([one.audio.samples for one in batch]))
    if model.device.type == "cuda":
        torch.cuda.synchronize()


@dataclass(eq=False)
class DraftTrial(logging.Handler):
    """Captures the engine's log record about its draft."""

    records: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)
        logger = logging.getLogger("tasks.whisper.decoding.speculation")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the arguments: on or off, tokens drafted, tokens gained, and two times in ms."""
        if isinstance(record.args, tuple):
            self.records.append(record.args)

    def figures(self) -> dict[str, Any]:
        """The figures of the last record; empty if there is none."""
        if not self.records:
            return {}
        state, num_drafted, gained, verified_ms, plain_ms = self.records[-1]
        return {
            "speculation": state,
            "acceptance": (float(gained) - 1) / int(num_drafted),
            "tokens_per_verification": float(gained),
            "verification_ms": float(verified_ms),
            "plain_step_ms": float(plain_ms),
        }

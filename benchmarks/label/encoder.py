"""The encoder alone, which every engine must run: the floor of a teacher in real geometry."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from benchmarks.label.contender import Prepared
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.model import LoadedWhisper

Run = Callable[[Tensor], object]
"""Encodes features, (windows, mels, frames), and returns when it has finished."""


@dataclass(frozen=True)
class EncoderAlone:
    """Features of all windows, and the fastest way of several to encode them."""

    features: Tensor
    features_s: float
    name: str
    run: Run

    def seconds(self) -> float:
        """The time to encode all windows, features not included."""
        return _seconds(self.run, self.features)


def encoder_alone(
    whisper: LoadedWhisper, windows: Sequence[Prepared], others: dict[str, Run]
) -> EncoderAlone:
    """The fastest of the encoders of transformers and of the engine, and `others`.

    Each is tried on the first windows, after a first time unmeasured.
    """
    model: Any = whisper.model
    num_at_once = 4 if model.device.type == "cpu" else 32
    log_mel = LogMel(whisper.feature_extractor, model.device, model.dtype)
    started_s = perf_counter()
    features = torch.cat(
        [
            log_mel([one.audio.samples for one in windows[start : start + num_at_once]])
            for start in range(0, len(windows), num_at_once)
        ]
    )
    features_s = perf_counter() - started_s
    theirs, ours = model.model.encoder, EncoderLayers(whisper.model.model.encoder)
    found: dict[str, Run] = {
        "transformers": partial(_in_turn, theirs, num_at_once=num_at_once),
        "engine": partial(_in_turn, ours, num_at_once=num_at_once),
    }
    if model.device.type == "cpu":
        found["engine, a window on each core"] = partial(_in_threads, ours)
    found |= others
    took_s: dict[str, float] = {}
    tried = features[: 4 * num_at_once]
    for name, run in found.items():
        run(tried)
        took_s[name] = _seconds(run, tried)
    best = min(took_s, key=lambda name: took_s[name])
    return EncoderAlone(features, features_s, best, found[best])


@torch.inference_mode()
def _in_turn(encoder: Any, features: Tensor, num_at_once: int) -> None:
    for batch in torch.split(features, num_at_once):
        encoder(batch)
    if features.is_cuda:
        torch.cuda.synchronize()


def _in_threads(encoder: Any, features: Tensor) -> None:
    """A batch on each core: synchronising the cores within a product costs more."""
    num_threads = torch.get_num_threads()
    with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            run = partial(_in_turn, encoder, num_at_once=1)
            for _ in pool.map(run, torch.split(features, 1)):
                pass
        finally:
            torch.set_num_threads(num_threads)


def _seconds(run: Run, features: Tensor) -> float:
    started_s = perf_counter()
    run(features)
    return perf_counter() - started_s

"""The recipe of the demo teacher: how it is trained and evaluated.

The loss is cross-entropy on the decoder plus a character CTC loss on the encoder output, without
which so small an encoder takes many times as long to learn to align. The CTC head is discarded.
Arithmetic is float32: at this width bfloat16 is half as fast on a CPU.
"""

import functools
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from tasks.demo.speech.grammar import sentence
from tasks.demo.teaching.model import WIDTH, new_model, save_teacher
from tasks.demo.teaching.step import NUM_CTC_CLASSES, batch_loss, batches, window_length
from tasks.demo.teaching.tokenizer import build_tokenizer
from tasks.demo.teaching.training_set import (
    SHORT_WINDOW_S,
    WINDOW_S,
    FeatureSet,
    Window,
    render_features,
    short_window,
    speech_window,
    training_window,
)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All parameters of the training; they determine the weights up to rounding.

    The first phase uses windows of 4 s with one utterance, the second full windows with up to four:
    several utterances are learned much faster by a model that already handles one.
    """

    seed: int = 7
    num_speakers: int = 400
    num_short_windows: int = 5_000
    num_short_steps: int = 1_000
    short_batch_windows: int = 16
    num_windows: int = 6_000
    num_steps: int = 1_500
    batch_windows: int = 8
    learning_rate: float = 2e-3
    warm_up_share: float = 0.06
    weight_decay: float = 0.01
    ctc_weight: float = 0.5
    max_gradient_norm: float = 1.0
    num_held_out_windows: int = 200
    checkpoint_every_steps: int = 250


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A phase of the training: windows of one length and the batch size."""

    data: FeatureSet
    num_steps: int
    batch_windows: int


def render_phases(recipe: Recipe, progress: Progress) -> tuple[Phase, Phase]:
    """The phases with short and with full windows, of the training speakers."""
    bar = progress.add_task("render", total=recipe.num_short_windows + recipe.num_windows)

    def advance(done: int, total: int) -> None:
        progress.update(bar, advance=1)

    short, full = (
        render_features(
            functools.partial(make_window, "training ", recipe.num_speakers),
            num_windows,
            seed,
            advance,
        )
        for make_window, num_windows, seed in (
            (short_window, recipe.num_short_windows, recipe.seed + 2),
            (training_window, recipe.num_windows, recipe.seed),
        )
    )
    return (
        Phase(
            data=short.cut(SHORT_WINDOW_S),
            num_steps=recipe.num_short_steps,
            batch_windows=recipe.short_batch_windows,
        ),
        Phase(data=full, num_steps=recipe.num_steps, batch_windows=recipe.batch_windows),
    )


def train(
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    phases: Sequence[Phase],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Train in place, with one schedule over all phases; checkpoints are saved in `folder`."""
    ctc_head = nn.Linear(WIDTH, NUM_CTC_CLASSES)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parameters += list(ctc_head.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    num_steps = sum(phase.num_steps for phase in phases)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=num_steps,
        pct_start=recipe.warm_up_share,
    )
    bar = progress.add_task("train", total=num_steps)
    model.train()
    step, smooth_loss, started = 0, float("nan"), time.monotonic()
    for phase in phases:
        stream = batches(phase.data, tokenizer, phase.batch_windows, recipe.seed)
        for batch in itertools.islice(stream, phase.num_steps):
            with window_length(model, phase.data.features.shape[2]):
                loss = batch_loss(model, ctc_head, batch, recipe.ctc_weight)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, recipe.max_gradient_norm)
            optimizer.step()
            scheduler.step()
            step += 1
            smooth_loss = loss.item() if step == 1 else 0.98 * smooth_loss + 0.02 * loss.item()
            progress.update(bar, advance=1, description=f"train, loss {smooth_loss:.3f}")
            if step % 100 == 0:
                elapsed_s = time.monotonic() - started
                progress.console.print(f"step {step}: loss {smooth_loss:.3f}, {elapsed_s:.0f} s")
            if step % recipe.checkpoint_every_steps == 0:
                save_teacher(model, tokenizer, folder)


@torch.inference_mode()
def word_error_rate(
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    data: FeatureSet,
    *,
    with_timestamps: bool,
    batch_windows: int = 16,
) -> float:
    """Word error rate, 0 to above 1, of greedy decoding over all windows; float32."""
    model.train(False)
    references = [" ".join(segment.text for segment in segments) for segments in data.segments]
    hypotheses: list[str] = []
    for start in range(0, len(data), batch_windows):
        features = torch.from_numpy(data.features[start : start + batch_windows].astype(np.float32))
        predicted = model.generate(
            features,
            language="en",
            task="transcribe",
            return_timestamps=with_timestamps,
            num_beams=1,
            do_sample=False,
        )
        hypotheses += [
            text.strip() for text in tokenizer.batch_decode(predicted, skip_special_tokens=True)
        ]
    model.train()
    return float(jiwer.wer(references, hypotheses))


def held_out(recipe: Recipe, max_utterances: int, num_windows: int) -> FeatureSet:
    """Windows of speakers that are not in the training data, a new one for each."""

    def make_window(rng: np.random.Generator) -> Window:
        return speech_window(f"held-out {int(rng.integers(1 << 40))}", rng, max_utterances)

    return render_features(make_window, num_windows, recipe.seed + 1)


def make_teacher(recipe: Recipe, folder: Path, start: Path | None = None) -> dict[str, float]:
    """Render, train, save and evaluate. Returns word error rates by name.

    With `start`, training continues from the weights in that folder, with a new optimiser and CTC
    head.
    """
    rng = np.random.default_rng(recipe.seed)
    tokenizer = build_tokenizer([sentence(rng) for _ in range(5_000)], WINDOW_S)
    torch.manual_seed(recipe.seed)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        phases = render_phases(recipe, progress)
        model = new_model(tokenizer)
        if start is not None:
            model = WhisperForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
        train(model, tokenizer, phases, recipe, folder, progress)
    save_teacher(model, tokenizer, folder)
    trained = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    rates: dict[str, float] = {}
    for name, max_utterances in (("one utterance", 1), ("packed", 4)):
        data = held_out(recipe, max_utterances, recipe.num_held_out_windows)
        for with_timestamps in (False, True):
            label = f"{name}, {'with' if with_timestamps else 'without'} timestamps"
            rates[label] = word_error_rate(
                trained, tokenizer, data, with_timestamps=with_timestamps
            )
    return rates

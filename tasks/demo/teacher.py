"""The recipe of the demo teacher: `python -m tasks.demo.teacher` trains it and measures it on held-out speakers.

Cross-entropy on the decoder, plus a character CTC loss on the encoder's output: without it so small
an encoder needs many times as long to find the speech. The CTC head is thrown away. Arithmetic is
float32: at this width bfloat16 is half as fast on a CPU.
"""

import argparse
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from tasks.demo.grammar import sentence
from tasks.demo.teacher_model import (
    IGNORED,
    TEACHER_FOLDER,
    WIDTH,
    new_model,
    save_teacher,
    teaching_sequence,
)
from tasks.demo.tokenizer import build_tokenizer
from tasks.demo.training_set import (
    WINDOW_S,
    FeatureSet,
    Window,
    render_features,
    speech_window,
    training_window,
)

_CTC_ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the weights, up to the last bits of the arithmetic."""

    seed: int = 7
    num_windows: int = 6_000
    num_speakers: int = 400
    num_steps: int = 2_000
    batch_windows: int = 8
    learning_rate: float = 3e-3
    warm_up_share: float = 0.06
    weight_decay: float = 0.01
    ctc_weight: float = 0.5
    max_gradient_norm: float = 1.0
    num_held_out_windows: int = 200
    checkpoint_every_steps: int = 500


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`features` float32 (windows, 80, 800); `inputs` and `labels` int64 (windows, tokens); `characters` int64, all transcripts one after the other, 0 kept for the CTC blank; `num_characters` int64 (windows,)."""

    features: Tensor
    inputs: Tensor
    labels: Tensor
    characters: Tensor
    num_characters: Tensor


def batches(data: FeatureSet, tokenizer: WhisperTokenizer, recipe: Recipe) -> Iterator[Batch]:
    """Endless batches: every window once an epoch, in a new order, with timestamps half of the time."""
    rng = np.random.default_rng(recipe.seed)
    end_id = tokenizer.eos_token_id
    while True:
        order = rng.permutation(len(data))
        for start in range(0, len(order) - recipe.batch_windows + 1, recipe.batch_windows):
            rows = order[start : start + recipe.batch_windows]
            pairs = [
                teaching_sequence(
                    data.segments[row], tokenizer, with_timestamps=bool(rng.random() < 0.5)
                )
                for row in rows
            ]
            longest = max(len(inputs) for inputs, _ in pairs)
            texts = [" ".join(segment.text for segment in data.segments[row]) for row in rows]
            characters = [
                _CTC_ALPHABET.index(character) + 1 for text in texts for character in text
            ]
            yield Batch(
                features=torch.from_numpy(data.features[rows].astype(np.float32)),
                inputs=torch.tensor(
                    [inputs + [end_id] * (longest - len(inputs)) for inputs, _ in pairs]
                ),
                labels=torch.tensor(
                    [labels + [IGNORED] * (longest - len(labels)) for _, labels in pairs]
                ),
                characters=torch.tensor(characters, dtype=torch.int64),
                num_characters=torch.tensor([len(text) for text in texts]),
            )


def batch_loss(
    model: WhisperForConditionalGeneration, ctc_head: nn.Module, batch: Batch, recipe: Recipe
) -> Tensor:
    """Scalar: mean cross-entropy of the labels plus the weighted CTC loss of the characters."""
    encoded = model.model.encoder(batch.features).last_hidden_state
    decoded = model.model.decoder(
        input_ids=batch.inputs, encoder_hidden_states=encoded, use_cache=False
    )
    logits = model.proj_out(decoded.last_hidden_state)
    character_logits = ctc_head(encoded)
    cross_entropy = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED
    )
    log_probs = character_logits.log_softmax(dim=-1).transpose(0, 1)
    num_frames = torch.full((encoded.shape[0],), encoded.shape[1])
    ctc = nn.functional.ctc_loss(
        log_probs,
        batch.characters,
        num_frames,
        batch.num_characters,
        reduction="sum",
        zero_infinity=True,
    )
    # By all characters of the batch: the mean of each window's mean would be ruled by the windows
    # of few words.
    return cross_entropy + recipe.ctc_weight * ctc / batch.characters.numel()


def train(
    model: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    data: FeatureSet,
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Train in place; a usable teacher is in `folder` after every `checkpoint_every_steps` steps."""
    ctc_head = nn.Linear(WIDTH, len(_CTC_ALPHABET) + 1)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    parameters += list(ctc_head.parameters())
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=recipe.num_steps,
        pct_start=recipe.warm_up_share,
    )
    bar = progress.add_task("train", total=recipe.num_steps)
    model.train()
    smooth_loss = 0.0
    started = time.monotonic()
    for step, batch in zip(
        range(1, recipe.num_steps + 1), batches(data, tokenizer, recipe), strict=False
    ):
        loss = batch_loss(model, ctc_head, batch, recipe)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, recipe.max_gradient_norm)
        optimizer.step()
        scheduler.step()
        smooth_loss = loss.item() if step == 1 else 0.98 * smooth_loss + 0.02 * loss.item()
        progress.update(bar, advance=1, description=f"train, loss {smooth_loss:.3f}")
        if step % 100 == 0:
            progress.console.print(
                f"step {step}: loss {smooth_loss:.3f}, {time.monotonic() - started:.0f} s"
            )
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
    """Windows of speakers that no training window has, a new one for each."""

    def make_window(rng: np.random.Generator) -> Window:
        return speech_window(f"held-out {int(rng.integers(1 << 40))}", rng, max_utterances)

    return render_features(make_window, num_windows, recipe.seed + 1)


def make_teacher(recipe: Recipe, folder: Path) -> dict[str, float]:
    """Render, train, save and measure. Returns word error rates by name."""
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
        bar = progress.add_task("render", total=recipe.num_windows)
        data = render_features(
            functools.partial(training_window, "training ", recipe.num_speakers),
            recipe.num_windows,
            recipe.seed,
            lambda done, total: progress.update(bar, completed=done),
        )
        model = new_model(tokenizer)
        train(model, tokenizer, data, recipe, folder, progress)
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


def main() -> None:
    """The command line: the numbers that one may want to lower for a trial, and where the folder goes."""
    parser = argparse.ArgumentParser(
        description="Train the demo teacher (about 40 minutes on two CPU cores)."
    )
    parser.add_argument("--folder", type=Path, default=TEACHER_FOLDER)
    parser.add_argument("--steps", type=int, default=Recipe.num_steps)
    parser.add_argument("--windows", type=int, default=Recipe.num_windows)
    arguments = parser.parse_args()
    recipe = Recipe(num_steps=arguments.steps, num_windows=arguments.windows)
    for name, rate in make_teacher(recipe, arguments.folder).items():
        print(f"held-out WER, {name}: {100 * rate:.1f} %")


if __name__ == "__main__":
    main()

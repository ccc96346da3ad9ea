"""Speed of a training step against a plain one, and with the encoder cache against without.

    python -m benchmarks.distil [--json] [--windows 32] [--rounds 3]
    python -m benchmarks.distil --teacher FOLDER --audio TABLE.jsonl

The plain step is what a script does that follows the paper's formulas with transformers alone:
teacher and student each run encoder and decoder over the padded batch, and the loss is computed
from the logits of all positions. All contenders train the same student on the same windows,
alternating; figures are seconds an update, medians over rounds, and ratios medians of those of a
round. Reading is included: audio is decoded and prepared on threads. Labels are the transcripts.
All keep freed memory, as the command line does.

Uses neither Prefect nor the network.
"""

import argparse
import copy
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np
import torch
from torch.nn import functional

from benchmarks.label.audio import read_speech
from benchmarks.label.contender import Prepared as PackedWindow
from benchmarks.label.contender import prepared
from benchmarks.label.models import DEMO
from benchmarks.label.speech import write_speech
from configs.schema import Distil, Teacher
from tasks.allocator import keep_freed_memory
from tasks.audio import SAMPLE_RATE_HZ, encode_flac
from tasks.distil.batch import Prepared, Preparer, collate
from tasks.distil.encode import TeacherEncoder, stacked_features
from tasks.distil.student import make_student
from tasks.distil.update.optimise import make_optimizer
from tasks.distil.update.pair import make_pair, ready_teacher
from tasks.distil.update.step import MeanLoss, add_gradients
from tasks.read_ahead import read_ahead
from tasks.reading.examples import Clip, Example
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.model import LoadedWhisper, load_whisper
from tasks.whisper.tokens import IGNORED, SpecialTokens

_NUM_THREADS: Final = 2
_CACHE_BYTES: Final = 10_000_000_000
_BATCH_SIZE: Final = 16

Update = Callable[[Sequence[Prepared]], MeanLoss | None]


@dataclass(frozen=True)
class Contender:
    """A way to train: it prepares windows and makes an update of them."""

    preparer: Preparer
    update: Update


def main() -> None:
    """Measure and print."""
    options = _options()
    keep_freed_memory()
    teacher = load_whisper(Teacher(path=options.teacher), device=options.device)
    with TemporaryDirectory() as scratch:
        examples = _examples(teacher, options, Path(scratch))
        found = _measured(teacher, examples, options.rounds, Path(scratch))
    sys.stdout.write(f"{json.dumps(found, indent=1)}\n" if options.json else _table(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distil",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--teacher", default=DEMO, help="folder of a Whisper")
    parser.add_argument("--audio", type=Path, help="a JSON Lines table, or LibriSpeech")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--windows", type=int, default=32, help="rounded up to whole updates")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _examples(teacher: LoadedWhisper, options: argparse.Namespace, scratch: Path) -> list[Example]:
    """Packed windows with their transcripts as labels, as many as whole updates need."""
    wanted = -(-options.windows // _BATCH_SIZE) * _BATCH_SIZE
    window_s = teacher.window_samples / SAMPLE_RATE_HZ
    path, audio_s = scratch / "speech.parquet", 1.5 * wanted * window_s
    if options.audio is None:
        speech = write_speech(path, audio_s, window_s, spoken=True)
    else:
        speech = read_speech(path, options.audio, audio_s, window_s)
    windows = prepared(speech, teacher.window_samples, "speaker")
    fullest = sorted(windows, key=lambda one: one.window.num_samples, reverse=True)[:wanted]
    if len(fullest) < wanted:
        raise SystemExit(f"{len(fullest)} windows of speech, expected {wanted}; give more audio")
    return [_example(teacher, one, speech.texts) for one in fullest]


def _example(teacher: LoadedWhisper, window: PackedWindow, texts: Mapping[str, str]) -> Example:
    text = " ".join(texts[one.id] for one in window.window.utterances).lower()
    scaled = np.rint(window.audio.samples * 32768.0)
    samples = np.clip(scaled, -32768, 32767).astype(np.int16)
    return Example(
        window_id=window.audio.id,
        tokens=tuple(teacher.tokenizer(f" {text}").input_ids),
        duration_s=len(samples) / SAMPLE_RATE_HZ,
        clips=(Clip(window.audio.id, encode_flac(samples), 0.0),),
    )


def _measured(
    teacher: LoadedWhisper, examples: Sequence[Example], num_rounds: int, scratch: Path
) -> dict[str, Any]:
    """Seconds an update of each contender, and their ratios."""
    settings = Distil(num_steps=len(examples), batch_size=_BATCH_SIZE, num_warmup_steps=1)
    model = teacher.model.model
    caches = [OutputCache(scratch, _CACHE_BYTES, module) for module in (model.encoder, model)]
    contenders = {
        "plain": _plain(teacher, settings),
        "step": _ours(teacher, settings),
        "cached": _ours(teacher, settings, *caches),
    }
    _epoch(contenders["cached"], examples)  # the first, which fills the cache
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    waiting: list[float] = []
    padding: list[float] = []
    for _ in range(num_rounds):
        for name, contender in contenders.items():
            found = _epoch(contender, examples)
            seconds[name].append(found.update_s)
            if name == "cached":
                waiting.append(found.waiting_percent)
                padding.append(found.padding_percent)

    def ratio(slow: str, fast: str) -> float:
        return median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))

    return {
        "teacher": f"{sum(one.numel() for one in teacher.model.parameters()) / 1e6:.0f} M",
        "device": str(teacher.model.device),
        "windows": len(examples),
        "rounds": num_rounds,
        "figures": {
            **{f"{name}_update_s": median(values) for name, values in seconds.items()},
            "waiting_percent": median(waiting),
            "padding_percent": median(padding),
        },
        "ratios": {
            "step_vs_plain": ratio("plain", "step"),
            "cached_vs_uncached": ratio("step", "cached"),
        },
    }


@dataclass(frozen=True)
class _Epoch:
    """One pass over all windows."""

    update_s: float
    waiting_percent: float
    padding_percent: float


def _epoch(contender: Contender, examples: Sequence[Example]) -> _Epoch:
    started_at = perf_counter()
    waiting_s = 0.0
    num_positions = num_padded = num_updates = 0
    rows = read_ahead(
        iter(examples), contender.preparer, num_threads=_NUM_THREADS, num_ahead=_BATCH_SIZE
    )
    with closing(rows):
        while num_updates * _BATCH_SIZE < len(examples):
            asked_at = perf_counter()
            batch = list(islice(rows, _BATCH_SIZE))
            waiting_s += perf_counter() - asked_at
            mean = contender.update(batch)
            num_updates += 1
            if mean is not None:
                num_positions += mean.num_positions
                num_padded += mean.num_padded
    took_s = perf_counter() - started_at
    return _Epoch(
        update_s=took_s / num_updates,
        waiting_percent=100 * waiting_s / took_s,
        padding_percent=100 * num_padded / max(1, num_positions),
    )


def _ours(
    teacher: LoadedWhisper,
    settings: Distil,
    encoder_cache: OutputCache | None = None,
    teacher_cache: OutputCache | None = None,
) -> Contender:
    model, special = copy.deepcopy(teacher.model), SpecialTokens.of(teacher.tokenizer)
    ready_teacher(model, teacher.model.device, settings)
    student = make_student(model, settings.decoder_layers)
    encode = TeacherEncoder(model, teacher.model.device, torch.float32, encoder_cache)
    pair = make_pair(model, student, encode, settings, special.end_id, teacher_cache=teacher_cache)
    optimizer = make_optimizer(student, settings)

    def update(rows: Sequence[Prepared]) -> MeanLoss:
        optimizer.zero_grad(set_to_none=True)
        mean = add_gradients(pair, rows, _BATCH_SIZE)
        torch.nn.utils.clip_grad_norm_(student.parameters(), settings.max_gradient_norm)
        optimizer.step()
        return mean

    return Contender(_preparer(teacher, encoder_cache, teacher_cache), update)


def _plain(teacher: LoadedWhisper, settings: Distil) -> Contender:
    model, special = copy.deepcopy(teacher.model), SpecialTokens.of(teacher.tokenizer)
    student = make_student(model, settings.decoder_layers)
    student.requires_grad_(True)
    student.model.encoder.requires_grad_(False)
    optimizer = torch.optim.AdamW(student.parameters(), lr=settings.peak_learning_rate)

    def update(rows: Sequence[Prepared]) -> None:
        optimizer.zero_grad(set_to_none=True)
        batch = collate(rows, special.end_id).to(model.device)
        features = stacked_features(rows).to(model.device)
        with torch.no_grad():
            expected = model(features, decoder_input_ids=batch.inputs).logits
        found = student(features, decoder_input_ids=batch.inputs).logits
        is_target = batch.targets != IGNORED
        logits, log_softmax = found[is_target], functional.log_softmax
        kl = functional.kl_div(
            log_softmax(logits / settings.temperature, -1),
            log_softmax(expected[is_target] / settings.temperature, -1),
            reduction="sum",
            log_target=True,
        )
        ce = functional.cross_entropy(logits, batch.targets[is_target], reduction="sum")
        loss = settings.kl_weight * settings.temperature**2 * kl + settings.pseudo_label_weight * ce
        torch.autograd.backward(loss / max(1, len(logits)))
        torch.nn.utils.clip_grad_norm_(student.parameters(), settings.max_gradient_norm)
        optimizer.step()

    return Contender(_preparer(teacher), update)


def _preparer(
    teacher: LoadedWhisper,
    encoder_cache: OutputCache | None = None,
    teacher_cache: OutputCache | None = None,
) -> Preparer:
    return Preparer(
        teacher.feature_extractor,
        SpecialTokens.of(teacher.tokenizer),
        teacher.model.config.max_target_positions,
        encoder_cache,
        teacher_cache,
    )


def _table(found: dict[str, Any]) -> str:
    figures, ratios = found["figures"], found["ratios"]
    lines = [
        f"teacher of {found['teacher']} parameters on {found['device']}, updates of {_BATCH_SIZE},"
        f" median of {found['rounds']}",
        *(
            f"{name:<7} {figures[f'{name}_update_s']:8.2f} s"
            for name in ("plain", "step", "cached")
        ),
        *(f"{name} {ratio:.2f}" for name, ratio in ratios.items()),
        f"with the cache, {figures['waiting_percent']:.1f} % of the time is spent waiting for data;"
        f" {figures['padding_percent']:.1f} % of the tokens are padding",
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()

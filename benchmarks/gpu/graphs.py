"""Steps that are replayed as CUDA graphs, against steps that run one operation at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from benchmarks.gpu.check import DEMO, Outcome, Setup
from configs.schema import Label, Teacher
from tasks.distil.student import make_student
from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.draft_length import DraftController
from tasks.whisper.decoding.graphs import GraphCache, Record, Step, cuda_recorder
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.decoding.slots import Hypothesis
from tasks.whisper.engine import AudioWindow
from tasks.whisper.scheduler import GPU_SCHEDULE, BatchScheduler, QueuedWindow

_MAX_WINDOWS = 40
_NUM_SLOTS = 16
_NUM_DRAFTED = 4
_INIT_STD = 2.8  # times the usual, so that tokens depend on the audio and on earlier tokens


@dataclass(frozen=True, kw_only=True)
class Size:
    """A decoder with random weights; `num_words` is the size of its vocabulary without specials."""

    width: int
    num_heads: int
    num_layers: int
    num_words: int = 50_257
    num_frames: int = 1500
    end_scale: float = 2.0
    max_new_tokens: int = 100  # more than the positions of one graph


SIZES = {
    "cuda": {
        "small": Size(width=128, num_heads=2, num_layers=3),
        # width and heads of large-v2, whose kernels differ from those of a small model
        "wide": Size(width=1280, num_heads=20, num_layers=4),
    },
    "cpu": {
        "tiny": Size(
            width=128, num_heads=2, num_layers=3, num_words=2_000, num_frames=50, max_new_tokens=70
        )
    },
}
"""Models to compare with, by type of device."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What decoding steps do besides choosing the most likely token."""

    timestamps: bool = False
    speculates: bool = False
    temperature: float = 0.0


VARIANTS = {
    "greedy": Variant(),
    "timestamps": Variant(timestamps=True),
    "draft": Variant(speculates=True),
    "sampling": Variant(temperature=0.6),
    "everything": Variant(timestamps=True, speculates=True, temperature=0.6),
}


@dataclass
class Replays:
    """A recorder that counts; `record` is the one that it counts for."""

    record: Record
    num_graphs: int = 0
    num_replays: int = 0

    def __call__(self, step: Step) -> Step:
        """Record `step`; every replay of the result is counted."""
        replay = self.record(step)
        self.num_graphs += 1

        def counted() -> None:
            self.num_replays += 1
            replay()

        return counted


@dataclass(frozen=True)
class Work:
    """What both executions decode."""

    model: WhisperForConditionalGeneration
    max_new_tokens: int
    num_windows: int


@dataclass
class _Totals:
    """Of all runs of a check."""

    num_runs: int = 0
    num_graphs: int = 0
    num_replays: int = 0
    max_difference: float = 0.0
    differing: list[str] = field(default_factory=list)


def rerun(step: Step) -> Step:
    """The recorder of eager execution: "replaying" runs the step, with the shapes of a graph."""
    return step


def check_graphs(setup: Setup) -> Outcome:
    """Tokens must be identical in every run; log-probabilities are compared as a figure.

    Both executions decode the same windows with the same schedule and shapes, in float32 and
    bfloat16, with random weights of several sizes.
    """
    record = cuda_recorder(setup.device) if setup.device.type == "cuda" else rerun
    totals = _Totals()
    for name, size in SIZES[setup.device.type].items():
        model = random_model(size)
        module: nn.Module = model
        for dtype in (torch.float32, torch.bfloat16):
            module.to(device=setup.device, dtype=dtype)
            precision = str(dtype).removeprefix("torch.")
            work = Work(model, size.max_new_tokens, min(setup.num_windows, _MAX_WINDOWS))
            _compare(work, record, f"{name} {precision}", totals)
    figures = {
        "graphs": totals.num_graphs,
        "replays": totals.num_replays,
        "max_logprob_difference": totals.max_difference,
    }
    same = totals.num_runs - len(totals.differing)
    detail = (
        f"tokens are identical in {same} of {totals.num_runs} runs, {totals.num_replays} steps"
        f" replayed from {totals.num_graphs} graphs, log-probabilities differ by at most"
        f" {totals.max_difference:.2g}"
    )
    if totals.differing:
        detail += f"; not in: {', '.join(totals.differing)}"
    return Outcome(
        passed=not totals.differing and totals.num_replays > 0, detail=detail, figures=figures
    )


def _compare(work: Work, record: Record, name: str, totals: _Totals) -> None:
    for variant_name, variant in VARIANTS.items():
        eager = decode(work, variant, GraphCache(rerun))
        replays = Replays(record)
        replayed = decode(work, variant, GraphCache(replays))
        totals.num_runs += 1
        totals.num_graphs += replays.num_graphs
        totals.num_replays += replays.num_replays
        if [one.tokens for one in eager] != [one.tokens for one in replayed]:
            totals.differing.append(f"{name} {variant_name}")
        differences = [
            abs(one.sum_logprob - other.sum_logprob)
            for one, other in zip(eager, replayed, strict=True)
        ]
        totals.max_difference = max(totals.max_difference, *differences)


def decode(work: Work, variant: Variant, graphs: GraphCache) -> list[Hypothesis]:
    """The hypotheses of windows of random encoder output, in order."""
    model = work.model
    settings = Label(
        teacher=Teacher(path=DEMO),
        timestamps=variant.timestamps,
        max_new_tokens=work.max_new_tokens,
    )
    rules = decoding_rules(model.generation_config, model.config, settings)
    layers = DecoderLayers(model)
    draft = DecoderLayers(make_student(model, 2)) if variant.speculates else None
    decoder = Decoder(layers, draft, rules, _NUM_SLOTS, graphs)
    encoded = _encoder_output(work)

    def encode(windows: Sequence[AudioWindow]) -> Tensor:
        return encoded[[int(window.id) for window in windows]]

    scheduler = BatchScheduler(
        decoder, encode, GPU_SCHEDULE, DraftController(_NUM_DRAFTED) if variant.speculates else None
    )
    windows = [
        # every other window is greedy
        AudioWindow(str(number), np.zeros(0, np.float32), variant.temperature * (number % 2))
        for number in range(work.num_windows)
    ]
    hypotheses = dict(_scheduled(scheduler, windows))
    return [hypotheses[window.id] for window in windows]


def _scheduled(
    scheduler: BatchScheduler, windows: Sequence[AudioWindow]
) -> Iterator[tuple[str, Hypothesis]]:
    waiting = [QueuedWindow(window) for window in windows]
    while waiting or scheduler.unfinished:
        num_wanted = scheduler.num_wanted
        taken, waiting = waiting[:num_wanted], waiting[num_wanted:]
        for queued, hypothesis in scheduler.advance(taken):
            yield queued.window.id, hypothesis


def _encoder_output(work: Work) -> Tensor:
    """Normal noise, (windows, frames, width), the same on every device."""
    model = work.model
    shape = (work.num_windows, model.config.max_source_positions, model.config.d_model)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return noise.to(model.device, model.dtype)


def random_model(size: Size) -> WhisperForConditionalGeneration:
    """A decoder with the layout of a released model's vocabulary, and a single encoder layer.

    Weights are far above the usual 0.02, so that tokens depend on the audio and earlier tokens.
    """
    end = size.num_words
    language, transcribe, no_timestamps = end + 2, end + 102, end + 106
    config = WhisperConfig(
        vocab_size=no_timestamps + 1 + size.num_frames + 1,
        d_model=size.width,
        encoder_layers=1,
        decoder_layers=size.num_layers,
        encoder_attention_heads=size.num_heads,
        decoder_attention_heads=size.num_heads,
        encoder_ffn_dim=4 * size.width,
        decoder_ffn_dim=4 * size.width,
        max_source_positions=size.num_frames,
        init_std=_INIT_STD * size.width**-0.5,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=end + 1,
    )
    with _seeded(0):
        model = WhisperForConditionalGeneration(config)
        # transformers zeroes it, as padding; at this length it is chosen after about 60 tokens
        end_std = size.end_scale * config.init_std
        model.proj_out.weight.data[end] = end_std * torch.randn(size.width)
    module: nn.Module = model
    module.eval().requires_grad_(False)
    model.generation_config = GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=end + 1,
        no_timestamps_token_id=no_timestamps,
        is_multilingual=True,
        suppress_tokens=[1, 2, 7, *range(end + 1, no_timestamps)],
        begin_suppress_tokens=[220, end],
        max_initial_timestamp_index=50,
        lang_to_id={"<|en|>": language},
        task_to_id={"translate": transcribe - 1, "transcribe": transcribe},
    )
    return model


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield

"""CTranslate2 as an engine, called as its own users do: `Whisper.generate`, beam 1, in batches."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter

from benchmarks.label.models import Models
from configs.schema import Label
from tasks.whisper.decoding.rules import DecodingRules, decoding_rules
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.model import LoadedWhisper, silent_transformers

Results = Sequence[tuple[AudioWindow, DecodingResult]]
_TOKENIZER_FILES: Final = ("tokenizer.json", "preprocessor_config.json")


@dataclass(frozen=True)
class Layout:
    """How the cores are shared: batches at the same time, and threads for each."""

    num_workers: int
    num_threads: int


MakeEngine = Callable[[Path, LoadedWhisper, str, int, Layout], Engine]
"""An engine of a converted model and what it is from, a compute type, a batch size and a layout."""


def layouts(num_cores: int) -> tuple[Layout, ...]:
    """One batch on each core, and one batch on all of them."""
    return tuple(dict.fromkeys((Layout(num_cores, 1), Layout(1, num_cores))))


@contextmanager
def same_num_threads() -> Iterator[None]:
    """While CTranslate2 loads a model: it sets the threads of OpenMP, and so those of torch."""
    num_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


def converted(models: Models, folder: Path) -> Path:
    """The teacher in CTranslate2's format, below `folder`; converted once."""
    target = folder / "ctranslate2"
    if not target.exists():
        source = models.saved(folder / "teacher")
        files = [name for name in _TOKENIZER_FILES if (Path(source) / name).is_file()]
        with silent_transformers():
            TransformersConverter(source, copy_files=files).convert(str(target))
    return target


def supported(device: str, wanted: Iterable[str]) -> list[str]:
    """Those of the compute types that the device has, in order."""
    found = ctranslate2.get_supported_compute_types(device)
    return [compute_type for compute_type in wanted if compute_type in found]


def in_batches(windows: Iterable[AudioWindow], batch_size: int) -> Iterator[list[AudioWindow]]:
    """Windows in their order, `batch_size` together."""
    stream = iter(windows)
    while batch := list(islice(stream, batch_size)):
        yield batch


def in_workers(
    batches: Iterable[Callable[[], Results]], num_workers: int
) -> Iterator[tuple[AudioWindow, DecodingResult]]:
    """Run batches in as many threads, one drawn ahead; yields their results in order."""
    started = deque[Future[Results]]()
    with ThreadPoolExecutor(num_workers) as pool:
        for batch in batches:
            started.append(pool.submit(batch))
            if len(started) > num_workers:
                yield from started.popleft().result()
        while started:
            yield from started.popleft().result()


@dataclass(frozen=True)
class CTranslate2Engine:
    """Greedy decoding in batches, several of them at the same time; features are ours."""

    model: ctranslate2.models.Whisper
    whisper: LoadedWhisper
    batch_size: int
    layout: Layout

    @property
    def window_samples(self) -> int:
        """The longest window it accepts, in samples at 16 kHz."""
        return self.whisper.window_samples

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Yield windows and results batch by batch; see `Engine`."""
        model: Any = self.whisper.model
        rules = decoding_rules(model.generation_config, model.config, settings)
        log_mel = LogMel(self.whisper.feature_extractor, model.device, torch.float32)
        yield from in_workers(
            (
                partial(self._transcribe, batch, log_mel([one.samples for one in batch]), rules)
                for batch in in_batches(windows, self.batch_size)
            ),
            self.layout.num_workers,
        )

    def encode(self, features: torch.Tensor) -> None:
        """Run the encoder alone, in as many batches at a time as there are workers."""
        share = -(-len(features) // self.layout.num_workers)
        batches = [
            ctranslate2.StorageView.from_array(batch.cpu().float().numpy())
            for batch in torch.split(features, min(self.batch_size, share))
        ]
        with ThreadPoolExecutor(self.layout.num_workers) as pool:
            for _ in pool.map(self.model.encode, batches):
                pass

    def _transcribe(
        self, batch: Sequence[AudioWindow], features: torch.Tensor, rules: DecodingRules
    ) -> Results:
        results = self.model.generate(
            ctranslate2.StorageView.from_array(features.cpu().numpy()),
            [list(rules.prompt)] * len(batch),
            beam_size=1,
            max_length=2 * rules.max_new_tokens,  # it reserves half of it for previous text
            suppress_tokens=list(rules.suppressed_ids),
            suppress_blank=bool(rules.suppressed_first_ids),
        )
        generated = [one.sequences_ids[0] for one in results]
        texts = self.whisper.tokenizer.batch_decode(generated, skip_special_tokens=True)
        return [
            (window, _result(tokens, str(text), rules))
            for window, tokens, text in zip(batch, generated, texts, strict=True)
        ]


def _result(tokens: list[int], text: str, rules: DecodingRules) -> DecodingResult:
    """Add prompt and end token, which CTranslate2 omits."""
    has_end = len(tokens) < rules.max_new_tokens
    return DecodingResult(
        text=text.strip(),
        tokens=(*rules.prompt, *tokens, *([rules.end_id] if has_end else [])),
        avg_logprob=0.0,
        no_speech_prob=0.0,
        has_end=has_end,
    )


def ctranslate2_engine(
    folder: Path, whisper: LoadedWhisper, compute_type: str, batch_size: int, layout: Layout
) -> CTranslate2Engine:
    """The engine over a converted model, on the device of `whisper`."""
    with same_num_threads():
        model = ctranslate2.models.Whisper(
            str(folder),
            device=whisper.model.device.type,
            compute_type=compute_type,
            inter_threads=layout.num_workers,
            intra_threads=layout.num_threads,
        )
    return CTranslate2Engine(model, whisper, batch_size, layout)


def fastest_layout(
    make: Callable[[Layout], Engine],
    choices: Sequence[Layout],
    windows: Sequence[AudioWindow],
    settings: Label,
) -> Layout:
    """The layout whose engine transcribes `windows` fastest, after a few of them unmeasured."""
    if len(choices) == 1:
        return choices[0]
    took_s: dict[Layout, float] = {}
    for layout in choices:
        engine = make(layout)
        list(engine.transcribe(windows[: layout.num_workers], settings))
        started_s = perf_counter()
        list(engine.transcribe(windows, settings))
        took_s[layout] = perf_counter() - started_s
    return min(choices, key=lambda layout: took_s[layout])

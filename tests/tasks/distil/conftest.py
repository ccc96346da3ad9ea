"""A random tiny Whisper with a 1 s window, and examples of noise."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)

from configs.schema import Distil
from tasks.audio import encode_flac
from tasks.distil.batch import Preparer
from tasks.reading.examples import Clip, Example
from tasks.whisper.tokens import SpecialTokens
from tests.tasks.conftest import SENTENCES

MakeTeacher = Callable[..., WhisperForConditionalGeneration]
MakeExample = Callable[..., Example]


class FolderCheckpoints:
    """Checkpoints in a local folder; the newest two are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: list[int] = []

    def save(self, step: int, files: Mapping[str, bytes]) -> None:
        scratch = self.folder / "part"
        scratch.mkdir(parents=True)
        for name, data in files.items():
            (scratch / name).write_bytes(data)
        scratch.rename(self.folder / f"step-{step}")
        self.saved.append(step)
        for old in sorted(self._steps())[:-2]:
            for path in self._steps()[old].iterdir():
                path.unlink()
            self._steps()[old].rmdir()

    def latest(self) -> tuple[int, dict[str, bytes]] | None:
        if not (steps := self._steps()):
            return None
        step = max(steps)
        return step, {path.name: path.read_bytes() for path in steps[step].iterdir()}

    def _steps(self) -> dict[int, Path]:
        found = self.folder.iterdir() if self.folder.exists() else ()
        steps = (path for path in found if path.name.startswith("step-"))
        return {int(path.name.removeprefix("step-")): path for path in steps}

    def location(self, step: int) -> str:
        return f"step-{step}/state.json"


class ListSource:
    """An `ExampleSource` that repeats a list endlessly."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples
        self.starts: list[int] = []

    def stream(self, num_consumed: int) -> Iterator[Example]:
        self.starts.append(num_consumed)
        position = num_consumed
        while True:
            yield self.examples[position % len(self.examples)]
            position += 1


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """In all tests of this folder."""


@pytest.fixture
def make_teacher(processor: WhisperProcessor, special: SpecialTokens) -> MakeTeacher:
    def make(decoder_layers: int = 4, seed: int = 0) -> WhisperForConditionalGeneration:
        torch.manual_seed(seed)
        end, start = special.end_id, special.start_id
        config = WhisperConfig(
            vocab_size=len(processor.tokenizer),
            d_model=16,
            encoder_layers=2,
            decoder_layers=decoder_layers,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            max_source_positions=50,
            max_target_positions=48,
            init_std=0.2,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
        )
        model = WhisperForConditionalGeneration(config).eval()
        ids = processor.tokenizer.convert_tokens_to_ids
        model.generation_config = GenerationConfig(
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
            decoder_start_token_id=start,
            no_timestamps_token_id=special.no_timestamps_id,
            is_multilingual=True,
            lang_to_id={"<|en|>": ids("<|en|>"), "<|de|>": ids("<|de|>")},
            task_to_id={"transcribe": ids("<|transcribe|>"), "translate": ids("<|translate|>")},
            max_length=24,
            alignment_heads=[[1, 0], [2, 1]],
        )
        return model

    return make


@pytest.fixture
def make_example(processor: WhisperProcessor) -> MakeExample:
    def make(index: int, text: str | None = None, duration_s: float = 0.5) -> Example:
        random = np.random.default_rng(index)
        noise = random.integers(-8000, 8000, round(duration_s * 16_000)).astype(np.int16)
        tokens = processor.tokenizer(" " + (text or SENTENCES[index % 3])).input_ids
        return Example(
            window_id=f"w{index}",
            tokens=tuple(tokens),
            duration_s=duration_s,
            clips=(Clip(f"u{index}", encode_flac(noise), 0.0),),
        )

    return make


@pytest.fixture
def preparer(processor: WhisperProcessor, special: SpecialTokens) -> Preparer:
    return Preparer(processor.feature_extractor, special, 48)


@pytest.fixture
def source(make_example: MakeExample) -> ListSource:
    return ListSource([make_example(index) for index in range(10)])


@pytest.fixture
def checkpoints(tmp_path: Path) -> FolderCheckpoints:
    return FolderCheckpoints(tmp_path / "checkpoints")


@pytest.fixture
def settings() -> Distil:
    return Distil(
        num_steps=6,
        batch_size=4,
        num_warmup_steps=2,
        peak_learning_rate=1e-3,
        evaluate_every_steps=2,
    )

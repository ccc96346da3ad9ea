import warnings
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor, pipeline

from tasks.demo.speech.grammar import sentence
from tasks.demo.teaching.model import TEACHER_FOLDER, new_model, save_teacher
from tasks.demo.teaching.recipe import Recipe, make_teacher
from tasks.demo.teaching.tokenizer import build_tokenizer
from tasks.demo.teaching.training_set import no_speech_window, speech_window

NUM_WINDOWS = 12
RATE_HZ = 16_000
# Windows of one utterance, and windows of several, which are harder to follow.
MAX_WER = {1: 0.15, 4: 0.35}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """More threads slow down so small a model."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def processor() -> WhisperProcessor:
    return WhisperProcessor.from_pretrained(TEACHER_FOLDER)


@pytest.fixture(scope="module")
def model() -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration.from_pretrained(TEACHER_FOLDER).eval()


def features(processor: WhisperProcessor, samples: list[np.ndarray]) -> torch.Tensor:
    batch = processor.feature_extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")
    return batch.input_features


def test_folder_holds_safetensors_and_json_only_and_is_small() -> None:
    paths = [path for path in TEACHER_FOLDER.rglob("*") if path.is_file()]
    assert {path.suffix for path in paths} == {".safetensors", ".json", ".md"}
    assert sum(path.stat().st_size for path in paths) <= 10 * 2**20


def test_loads_as_float32_with_every_weight_in_its_place(capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, info = WhisperForConditionalGeneration.from_pretrained(
            TEACHER_FOLDER, output_loading_info=True
        )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.dtype == torch.float32
    assert model.proj_out.weight is model.model.decoder.embed_tokens.weight
    printed = capfd.readouterr()
    assert "not initialized" not in printed.err and "not used" not in printed.err


def test_geometry_and_generation_settings_are_those_of_a_multilingual_whisper(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor
) -> None:
    config, generation = model.config, model.generation_config
    assert (config.num_mel_bins, config.d_model, config.max_source_positions) == (80, 144, 400)
    assert (config.encoder_layers, config.decoder_layers) == (4, 6)
    assert processor.feature_extractor.chunk_length == 8
    ids = processor.tokenizer.convert_tokens_to_ids
    assert generation.is_multilingual is True
    assert generation.lang_to_id["<|en|>"] == ids("<|en|>")
    assert generation.task_to_id == {
        "transcribe": ids("<|transcribe|>"),
        "translate": ids("<|translate|>"),
    }
    assert generation.no_timestamps_token_id == ids("<|notimestamps|>")
    assert generation.decoder_start_token_id == ids("<|startoftranscript|>")
    assert generation.prev_sot_token_id == ids("<|startofprev|>")
    assert ids("<|endoftext|>") in generation.begin_suppress_tokens
    assert ids("<|nospeech|>") in generation.suppress_tokens
    assert generation.max_initial_timestamp_index == 50


@pytest.mark.parametrize("with_timestamps", [False, True])
@pytest.mark.parametrize("max_utterances", [1, 4])
def test_transcribes_unseen_voices(
    model: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    max_utterances: int,
    with_timestamps: bool,
) -> None:
    rng = np.random.default_rng(2024)
    windows = [
        speech_window(f"nobody heard {index}", rng, max_utterances) for index in range(NUM_WINDOWS)
    ]
    predicted = model.generate(
        features(processor, [window.samples for window in windows]),
        language="en",
        task="transcribe",
        return_timestamps=with_timestamps,
    )
    hypotheses = processor.batch_decode(predicted, skip_special_tokens=True)
    references = [window.text for window in windows]
    assert jiwer.wer(references, [text.strip() for text in hypotheses]) < MAX_WER[max_utterances]


def test_timestamps_are_near_the_true_borders(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor
) -> None:
    rng = np.random.default_rng(7)
    window = speech_window("nobody heard of this one", rng, 1)
    predicted = model.generate(
        features(processor, [window.samples]),
        language="en",
        task="transcribe",
        return_timestamps=True,
    )
    offsets = processor.tokenizer.decode(predicted[0].tolist(), output_offsets=True)["offsets"]
    start_s, end_s = offsets[0]["timestamp"]
    assert start_s == pytest.approx(window.segments[0].start_s, abs=0.3)
    assert end_s == pytest.approx(window.segments[0].end_s, abs=0.3)


@torch.inference_mode()
def test_no_speech_probability_separates_silence_from_speech(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor
) -> None:
    rng = np.random.default_rng(11)
    silence = [no_speech_window(rng).samples for _ in range(8)]
    speech = [speech_window(f"nobody heard {index}", rng).samples for index in range(8)]
    ids = processor.tokenizer.convert_tokens_to_ids
    start = torch.full((16, 1), ids("<|startoftranscript|>"))
    logits = model(
        input_features=features(processor, silence + speech), decoder_input_ids=start
    ).logits
    probability = logits[:, 0].softmax(dim=-1)[:, ids("<|nospeech|>")]
    assert probability[:8].mean() > 0.8
    assert probability[8:].max() < 0.2


def test_a_transformers_pipeline_gives_the_same_text(
    model: WhisperForConditionalGeneration, processor: WhisperProcessor
) -> None:
    recognise = pipeline("automatic-speech-recognition", model=str(TEACHER_FOLDER))
    for index in range(3):
        rng = np.random.default_rng(index)
        window = speech_window(f"nobody heard {index}", rng, 1)
        predicted = model.generate(
            features(processor, [window.samples]), language="en", task="transcribe"
        )
        expected = processor.decode(predicted[0], skip_special_tokens=True)
        assert recognise(window.samples)["text"] == expected
        chunks = recognise(window.samples, return_timestamps=True)["chunks"]
        assert chunks and chunks[0]["timestamp"][0] < 1.5


def test_an_untrained_teacher_saves_and_loads_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tokenizer = build_tokenizer([sentence(rng) for _ in range(300)], 8)
    torch.manual_seed(0)
    model = new_model(tokenizer)
    save_teacher(model, tokenizer, tmp_path / "teacher")
    loaded = WhisperForConditionalGeneration.from_pretrained(tmp_path / "teacher")
    for name, parameter in model.state_dict().items():
        assert torch.equal(parameter.half().float(), loaded.state_dict()[name])
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]


def test_the_recipe_trains_on_short_and_full_windows_saves_and_evaluates(tmp_path: Path) -> None:
    recipe = Recipe(
        num_short_windows=4,
        num_short_steps=2,
        short_batch_windows=2,
        num_windows=4,
        num_steps=2,
        batch_windows=2,
        num_held_out_windows=2,
        checkpoint_every_steps=1,
    )
    rates = make_teacher(recipe, tmp_path / "teacher", start=TEACHER_FOLDER)
    assert list(rates) == [
        "one utterance, without timestamps",
        "one utterance, with timestamps",
        "packed, without timestamps",
        "packed, with timestamps",
    ]
    before, after = (
        WhisperForConditionalGeneration.from_pretrained(folder)
        for folder in (TEACHER_FOLDER, tmp_path / "teacher")
    )
    assert after.config.max_source_positions == 400
    positions = "model.encoder.embed_positions.weight"
    assert torch.equal(before.state_dict()[positions], after.state_dict()[positions])
    changed = "model.decoder.layers.0.fc1.weight"
    assert not torch.equal(before.state_dict()[changed], after.state_dict()[changed])

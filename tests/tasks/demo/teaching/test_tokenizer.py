from pathlib import Path

import numpy as np
import pytest
from transformers import WhisperTokenizer

from tasks.demo.speech.grammar import sentence
from tasks.demo.teaching.model import IGNORED, TEACHER_FOLDER, target_sequence
from tasks.demo.teaching.tokenizer import build_tokenizer, special_tokens, timestamp_token
from tasks.demo.teaching.training_set import Segment

SEGMENTS = (
    Segment(start_s=0.0, end_s=1.519, text="two horses"),
    Segment(start_s=2.0, end_s=3.262, text="it's my boat"),
)


@pytest.fixture(scope="module")
def tokenizer() -> WhisperTokenizer:
    return WhisperTokenizer.from_pretrained(TEACHER_FOLDER)


def test_special_ids_are_consecutive_in_whispers_order(tokenizer: WhisperTokenizer) -> None:
    first = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    expected = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|en|>",
        "<|zh|>",
        "<|de|>",
        "<|es|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    assert list(special_tokens()) == expected
    ids = tokenizer.convert_tokens_to_ids(expected)
    assert ids == list(range(first, first + len(expected)))
    times = tokenizer.convert_tokens_to_ids([timestamp_token(0.02 * step) for step in range(401)])
    assert times == list(range(ids[-1] + 1, ids[-1] + 402))
    assert len(tokenizer) == times[-1] + 1
    assert tokenizer.all_special_ids == ids


def test_text_round_trips_and_any_bytes_can_be_written(tokenizer: WhisperTokenizer) -> None:
    rng = np.random.default_rng(0)
    for text in [sentence(rng) for _ in range(200)] + ["Zoë sold 3 naïve sheep — 日本"]:
        ids = tokenizer(f" {text}", add_special_tokens=False).input_ids
        assert tokenizer.decode(ids) == f" {text}"


def test_prompt_is_that_of_whisper(tokenizer: WhisperTokenizer) -> None:
    ids = tokenizer(" two horses").input_ids
    text = tokenizer.decode(ids)
    prompt = "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>"
    assert text == f"{prompt} two horses<|endoftext|>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == " two horses"


def test_timestamps_decode_to_offsets(tokenizer: WhisperTokenizer) -> None:
    inputs, _ = target_sequence(SEGMENTS, tokenizer, with_timestamps=True)
    assert tokenizer.decode(inputs, decode_with_timestamps=True) == (
        "<|startoftranscript|><|en|><|transcribe|>"
        "<|0.00|> two horses<|1.52|><|2.00|> it's my boat<|3.26|>"
    )
    decoded = tokenizer.decode(inputs, skip_special_tokens=True, output_offsets=True)
    assert [offset["text"] for offset in decoded["offsets"]] == [" two horses", " it's my boat"]
    assert decoded["text"] == " two horses it's my boat"


@pytest.mark.parametrize("with_timestamps", [False, True])
def test_labels_are_the_next_input_except_where_the_format_is_chosen(
    tokenizer: WhisperTokenizer, with_timestamps: bool
) -> None:
    inputs, labels = target_sequence(SEGMENTS, tokenizer, with_timestamps=with_timestamps)
    assert len(inputs) == len(labels) and labels[-1] == tokenizer.eos_token_id
    different = [
        index for index, (a, b) in enumerate(zip(inputs[1:], labels, strict=False)) if a != b
    ]
    assert different == ([] if with_timestamps else [2])
    assert with_timestamps or labels[2] == IGNORED


def test_silence_has_the_no_speech_token_as_first_label(tokenizer: WhisperTokenizer) -> None:
    inputs, labels = target_sequence((), tokenizer, with_timestamps=True)
    assert len(inputs) == len(labels) == 4
    assert labels[0] == tokenizer.convert_tokens_to_ids("<|nospeech|>")
    assert labels[1:3] == [IGNORED, IGNORED]


def test_a_new_tokenizer_saves_and_loads(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    built = build_tokenizer([sentence(rng) for _ in range(500)], 2.0)
    built.save_pretrained(tmp_path)
    loaded = WhisperTokenizer.from_pretrained(tmp_path)
    text = "<|startoftranscript|><|en|><|transcribe|><|0.00|> it's grey<|2.00|>"
    assert loaded.convert_tokens_to_ids("<|2.00|>") == len(loaded) - 1
    assert loaded(text, add_special_tokens=False) == built(text, add_special_tokens=False)

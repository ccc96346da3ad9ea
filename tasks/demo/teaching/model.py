"""The model of the demo teacher: dimensions, target sequences, files.

Implements Whisper's conventions (prompt, timestamps, no-speech token, generation settings), not the
training.
"""

import json
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from tasks.demo.teaching import tokenizer as tokens
from tasks.demo.teaching.training_set import WINDOW_S, Segment, feature_extractor

TEACHER_FOLDER = Path(__file__).parents[1] / "teacher"
MAX_TARGET_TOKENS = 128
WIDTH = 144
# The encoder halves the 100 mel frames per second.
ENCODER_FRAMES_PER_S = 50
IGNORED = -100
_NON_SPEECH_SYMBOLS = '"#()*+/:;<=>@[\\]^_`{|}~'


def new_model(tokenizer: WhisperTokenizer) -> WhisperForConditionalGeneration:
    """An untrained teacher, initialised from torch's global generator."""
    end_id = tokens.token_id(tokenizer, tokens.END)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=4,
        decoder_layers=6,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=4 * WIDTH,
        decoder_ffn_dim=4 * WIDTH,
        max_source_positions=ENCODER_FRAMES_PER_S * WINDOW_S,
        max_target_positions=MAX_TARGET_TOKENS,
        dropout=0.0,
        # The default of 0.02 is for wide models; with it, this one needs three times the steps.
        init_std=0.05,
        pad_token_id=end_id,
        bos_token_id=end_id,
        eos_token_id=end_id,
        # The default of the class has ids of the released vocabulary.
        begin_suppress_tokens=None,
        decoder_start_token_id=tokens.token_id(tokenizer, tokens.START),
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = generation_config(tokenizer)
    return model


def generation_config(tokenizer: WhisperTokenizer) -> GenerationConfig:
    """The settings of a released multilingual Whisper, with the ids of this vocabulary."""
    ids = partial(tokens.token_id, tokenizer)
    end_id = ids(tokens.END)
    # Never part of a transcript: control tokens, and the no-speech token, whose probability is read
    # at the first step.
    never = (
        tokens.START,
        tokens.TRANSLATE,
        tokens.TRANSCRIBE,
        tokens.START_OF_LM,
        tokens.START_OF_PREVIOUS,
        tokens.NO_SPEECH,
    )
    return GenerationConfig.from_dict(
        {
            "bos_token_id": end_id,
            "eos_token_id": end_id,
            "pad_token_id": end_id,
            "decoder_start_token_id": ids(tokens.START),
            "prev_sot_token_id": ids(tokens.START_OF_PREVIOUS),
            "no_timestamps_token_id": ids(tokens.NO_TIMESTAMPS),
            "is_multilingual": True,
            # Without a task, transformers omits the task token from the prompt.
            "language": tokens.LANGUAGES[0],
            "task": "transcribe",
            "lang_to_id": {
                f"<|{language}|>": ids(f"<|{language}|>") for language in tokens.LANGUAGES
            },
            "task_to_id": {
                "transcribe": ids(tokens.TRANSCRIBE),
                "translate": ids(tokens.TRANSLATE),
            },
            "suppress_tokens": sorted(ids(token) for token in (*_NON_SPEECH_SYMBOLS, *never)),
            "begin_suppress_tokens": [ids(tokens.SPACE), end_id],
            "max_initial_timestamp_index": round(1.0 / tokens.TIMESTAMP_STEP_S),
            "return_timestamps": False,
            "max_length": MAX_TARGET_TOKENS,
        }
    )


def target_sequence(
    segments: Sequence[Segment], tokenizer: WhisperTokenizer, *, with_timestamps: bool
) -> tuple[list[int], list[int]]:
    """Decoder input ids and their labels, two lists of equal length.

    At most `MAX_TARGET_TOKENS` long; the label `IGNORED` has no loss. The choice between the two
    formats cannot be predicted from the audio, so it is never a label. A window without segments
    has the no-speech token as first label, and the end token after the prompt.
    """
    ids = partial(tokens.token_id, tokenizer)
    prompt = [ids(tokens.START), ids(f"<|{tokens.LANGUAGES[0]}|>"), ids(tokens.TRANSCRIBE)]
    if not segments:
        inputs = [*prompt, ids(tokens.NO_TIMESTAMPS)]
        return inputs, [ids(tokens.NO_SPEECH), IGNORED, IGNORED, ids(tokens.END)]
    sequence = list(prompt) if with_timestamps else [*prompt, ids(tokens.NO_TIMESTAMPS)]
    for segment in segments:
        text_ids = tokenizer(f" {segment.text}", add_special_tokens=False).input_ids
        times = (tokens.timestamp_token(segment.start_s), tokens.timestamp_token(segment.end_s))
        sequence += [ids(times[0]), *text_ids, ids(times[1])] if with_timestamps else text_ids
    sequence.append(ids(tokens.END))
    labels = sequence[1:]
    if not with_timestamps:
        labels[len(prompt) - 1] = IGNORED
    return sequence[:-1], labels


def save_teacher(
    model: WhisperForConditionalGeneration, tokenizer: WhisperTokenizer, folder: Path
) -> None:
    """Write the model, its tokenizer and its feature extractor in Hugging Face format.

    The weights are stored in float16 and loaded as float32. Files are written to a temporary folder
    and moved one by one, so that an interrupted save leaves complete files.
    """
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    half = WhisperForConditionalGeneration(model.config)
    half.load_state_dict(model.state_dict())
    half.generation_config = generation_config(tokenizer)
    nn.Module.to(half, torch.float16)
    half.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch)
    feature_extractor().save_pretrained(scratch)
    config_path = scratch / "config.json"
    config = json.loads(config_path.read_text())
    config["dtype"] = "float32"
    config_path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(scratch.iterdir()):
        path.chmod(0o644)
        os.replace(path, folder / path.name)
    scratch.rmdir()

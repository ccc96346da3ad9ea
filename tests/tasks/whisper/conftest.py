"""Tiny Whispers with random weights and the token layout of released models."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.draft_length import DraftController
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.slots import Hypothesis
from tasks.whisper.engine import AudioWindow
from tasks.whisper.scheduler import CPU_SCHEDULE, BatchScheduler, QueuedWindow

END, START, ENGLISH, GERMAN, TRANSLATE, TRANSCRIBE = range(60, 66)  # text tokens come first
START_OF_LM, START_OF_PREVIOUS, NO_SPEECH, NO_TIMESTAMPS = range(66, 70)
WINDOW_S = 2
VOCAB_SIZE = NO_TIMESTAMPS + 1 + 50 * WINDOW_S + 1
END_SCALE = 0.8  # so that only some hypotheses end before the limit

MakeWhisper = Callable[..., WhisperForConditionalGeneration]
MakeFeatures = Callable[[int], torch.Tensor]
DecodeEncoded = Callable[..., list[Hypothesis]]


def generation_config(*, multilingual: bool) -> GenerationConfig:
    """Generation settings like those of a released model, with the ids of this module."""
    languages = {
        "lang_to_id": {"<|en|>": ENGLISH, "<|de|>": GERMAN},
        "task_to_id": {"transcribe": TRANSCRIBE, "translate": TRANSLATE},
    }
    return GenerationConfig(
        bos_token_id=END,
        eos_token_id=END,
        pad_token_id=END,
        decoder_start_token_id=START,
        no_timestamps_token_id=NO_TIMESTAMPS,
        is_multilingual=multilingual,
        suppress_tokens=[3, 4, START, ENGLISH, GERMAN, TRANSLATE, TRANSCRIBE, *range(66, 69)],
        begin_suppress_tokens=[0, END],
        max_initial_timestamp_index=25,
        **(languages if multilingual else {}),
    )


@pytest.fixture(scope="session")
def make_whisper() -> MakeWhisper:
    """A float32 model with seeded random weights, whose hypotheses differ in length."""

    def make(seed: int = 0, *, multilingual: bool = True) -> WhisperForConditionalGeneration:
        config = WhisperConfig(
            vocab_size=VOCAB_SIZE,
            d_model=32,
            encoder_layers=2,
            decoder_layers=3,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_source_positions=50 * WINDOW_S,
            max_target_positions=64,
            # far above the usual 0.02, so that hypotheses depend on the audio and on earlier tokens
            init_std=0.5,
            pad_token_id=END,
            bos_token_id=END,
            eos_token_id=END,
            decoder_start_token_id=START,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = WhisperForConditionalGeneration(config).eval()
            # transformers zeroes the row of the padding token, which is the end token here
            model.proj_out.weight.data[END] = END_SCALE * torch.randn(config.d_model)
        model.generation_config = generation_config(multilingual=multilingual)
        return model

    return make


@pytest.fixture(scope="session")
def make_features() -> MakeFeatures:
    """Noise in index of log-mel spectrograms, float32 (windows, 80 mels, frames)."""

    def make(num_windows: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(num_windows)
        return torch.randn((num_windows, 80, 100 * WINDOW_S), generator=generator)

    return make


@pytest.fixture(scope="session")
def decode_encoded() -> DecodeEncoded:
    """Decodes encoder output, (windows, frames, width), and returns the hypotheses in its order.

    Windows are scheduled in `order`; a draft always drafts four tokens unless `drafts` says else.
    """

    def decode(
        model,
        encoded,
        rules,
        num_slots,
        *,
        draft=None,
        draft_encoded=None,
        draft_dtype=None,
        temperature=0.0,
        schedule=CPU_SCHEDULE,
        drafts=None,
        order=None,
    ):
        layers = DecoderLayers(model)
        draft_layers = DecoderLayers(draft, draft_dtype) if draft is not None else None
        decoder = Decoder(layers, draft_layers, rules, num_slots)

        def encoding(output):
            return lambda windows: output[[int(window.id) for window in windows]]

        if draft is not None and drafts is None:
            drafts = DraftController(4)
        encode_draft = encoding(draft_encoded) if draft_encoded is not None else None
        scheduler = BatchScheduler(
            decoder, encoding(encoded), schedule, drafts, encode_draft=encode_draft
        )
        rows, silence = order or range(len(encoded)), np.zeros(0, np.float32)
        waiting = [QueuedWindow(AudioWindow(str(row), silence, temperature)) for row in rows]
        hypotheses = {}
        while waiting or scheduler.unfinished:
            num_wanted = scheduler.num_wanted
            taken, waiting = waiting[:num_wanted], waiting[num_wanted:]
            for queued, hypothesis in scheduler.advance(taken):
                assert queued.window.id not in hypotheses
                hypotheses[queued.window.id] = hypothesis
        return [hypotheses[str(row)] for row in range(len(encoded))]

    return decode

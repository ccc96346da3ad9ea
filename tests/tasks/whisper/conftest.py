"""Whispers of random weights that a test can afford, laid out as the released ones."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.engine import AudioWindow
from tasks.whisper.flight import ON_CPU, Flight, Hypothesis

END, START, ENGLISH, GERMAN, TRANSLATE, TRANSCRIBE = range(60, 66)  # text tokens come first
START_OF_LM, START_OF_PREVIOUS, NO_SPEECH, NO_TIMESTAMPS = range(66, 70)
WINDOW_S = 2
VOCAB_SIZE = NO_TIMESTAMPS + 1 + 50 * WINDOW_S + 1
END_SCALE = 0.8  # so that some answers end early and some do not

MakeWhisper = Callable[..., WhisperForConditionalGeneration]
MakeFeatures = Callable[[int], torch.Tensor]
HearEncoded = Callable[..., list[Hypothesis]]


class AlwaysDraft:
    """In place of a trial: there is nothing to find out."""

    is_over = True
    speculates = True


def generation_config(*, multilingual: bool) -> GenerationConfig:
    """The settings that a released model carries, for the ids of this module."""
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
    """A model in float32 with weights drawn from a seed, whose answers differ in length."""

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
            # far above the usual 0.02, so that an answer depends on the sound and on what was said
            init_std=0.5,
            pad_token_id=END,
            bos_token_id=END,
            eos_token_id=END,
            decoder_start_token_id=START,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = WhisperForConditionalGeneration(config).eval()
            # transformers zeroes the padding token's row, and here that is the end of the text
            model.proj_out.weight.data[END] = END_SCALE * torch.randn(config.d_model)
        model.generation_config = generation_config(multilingual=multilingual)
        return model

    return make


@pytest.fixture(scope="session")
def make_features() -> MakeFeatures:
    """Noise in place of a log-mel spectrogram, float32 (windows, 80 mels, frames)."""

    def make(num_windows: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(num_windows)
        return torch.randn((num_windows, 80, 100 * WINDOW_S), generator=generator)

    return make


@pytest.fixture(scope="session")
def hear_encoded() -> HearEncoded:
    """Decodes what encoders made, (windows, frames, width) each; the answers, in their order.

    Windows come in `order`; the trial of a draft is skipped unless one is given.
    """

    def transcribe(
        model,
        encoded,
        rules,
        num_slots,
        *,
        draft=None,
        draft_encoded=None,
        temperature=0.0,
        pace=ON_CPU,
        trial=None,
        order=None,
    ):
        layers = DecoderLayers(model)
        draft_layers = DecoderLayers(draft) if draft is not None else None
        decoder = Decoder(layers, draft_layers, rules, num_slots)

        def encode(sounds):
            rows = [int(sound.id) for sound in sounds]
            both = [encoded] if draft is None else [encoded, draft_encoded]
            return [(encoded if one is None else one)[rows] for one in both]

        if draft is not None and trial is None:
            trial = AlwaysDraft()
        flight = Flight(decoder, encode, pace, trial)
        rows, silence = order or range(len(encoded)), np.zeros(0, np.float32)
        waiting = [AudioWindow(str(row), silence, temperature) for row in rows]
        answers = {}
        while waiting or flight.sounds:
            num_taken = flight.room
            taken, waiting = waiting[:num_taken], waiting[num_taken:]
            for sound, answer in flight.turn(taken):
                assert sound.id not in answers
                answers[sound.id] = answer
        return [answers[str(row)] for row in range(len(encoded))]

    return transcribe

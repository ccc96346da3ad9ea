"""Greedy decoding of a batch of windows with a Whisper of transformers.

Knows features and token ids; knows no audio, no text and no utterance. The encoder runs once, the
keys and values of the cross-attention are computed once, and windows that have ended leave the
batch as soon as half of it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache, WhisperForConditionalGeneration

from tasks.label.rules import DecodingRules
from tasks.label.timestamps import apply_timestamp_rules


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was heard in one window; names as in openai/whisper's `DecodingResult`.

    `tokens` is the full sequence: prompt, text or timestamps, end token. Where the limit of tokens
    was reached the end is missing, for the model never gave it.
    """

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float


@dataclass(slots=True)
class _Rows:
    """The windows that are still decoded, one row each; `place` is the row in the results."""

    place: Tensor
    encoded: Tensor
    cache: EncoderDecoderCache
    ended: Tensor

    def leave_out_ended(self) -> Tensor:
        """Drop the rows that have ended; returns the rows that stay, as indices into the old."""
        staying = (~self.ended).nonzero().squeeze(1)
        self.place, self.encoded = self.place[staying], self.encoded[staying]
        self.ended = self.ended[staying]
        self.cache.batch_select_indices(staying)
        return staying


@torch.inference_mode()
def decode(
    model: WhisperForConditionalGeneration, features: Tensor, rules: DecodingRules
) -> list[Decoded]:
    """The likeliest token at each step, for each window.

    `features` is the log-mel spectrogram, (windows, mels, frames), of the model's dtype and on its
    device. `avg_logprob` is the sum of the log-probabilities of all sampled tokens, the end token
    among them, over the number of those before the end and one; probabilities are those after
    suppression. `no_speech_prob` is that of the no-speech token right after the first of the
    prompt. All three are as in openai/whisper (whisper/decoding.py).
    """
    num_windows, device = len(features), features.device
    shape = (num_windows, rules.max_new_tokens)
    tokens = torch.full(shape, rules.end_id, dtype=torch.long, device=device)
    logprobs = torch.zeros(num_windows, device=device)
    no_speech = torch.zeros(num_windows, device=device)
    rows = _Rows(
        place=torch.arange(num_windows, device=device),
        encoded=model.model.encoder(features).last_hidden_state,
        cache=EncoderDecoderCache(DynamicCache(), DynamicCache()),
        ended=torch.zeros(num_windows, dtype=torch.bool, device=device),
    )
    forbidden = _forbidden(rules, model.config.vocab_size, device)
    inputs = torch.tensor(rules.prompt, device=device).expand(num_windows, -1)
    for step in range(rules.max_new_tokens):
        hidden = _decoder_step(model, inputs, rows)
        if step == 0:
            first = model.proj_out(hidden[:, 0]).float()
            no_speech = first.softmax(dim=-1)[:, rules.no_speech_id]
        logits = model.proj_out(hidden[:, -1]).float()
        logits = logits.masked_fill(forbidden[0 if step == 0 else 1], -torch.inf)
        if rules.timestamps is not None:
            logits = apply_timestamp_rules(logits, tokens[rows.place, :step], rules.timestamps)
        sampled = logits.argmax(dim=-1)
        logprob = logits.log_softmax(dim=-1).gather(1, sampled[:, None]).squeeze(1)
        logprobs[rows.place] += logprob.masked_fill(rows.ended, 0.0)
        sampled = sampled.masked_fill(rows.ended, rules.end_id)
        tokens[rows.place, step] = sampled
        rows.ended |= sampled == rules.end_id
        num_ended = int(rows.ended.sum())
        if num_ended == len(sampled):
            break
        if 2 * num_ended >= len(sampled):
            sampled = sampled[rows.leave_out_ended()]
        inputs = sampled[:, None]
    return _results(tokens.tolist(), logprobs.tolist(), no_speech.tolist(), rules)


def _decoder_step(model: WhisperForConditionalGeneration, inputs: Tensor, rows: _Rows) -> Tensor:
    """The decoder's last hidden states, (rows, new tokens, width); the cache grows by them."""
    hidden: Tensor = model.model.decoder(
        input_ids=inputs,
        encoder_hidden_states=rows.encoded,
        past_key_values=rows.cache,
        use_cache=True,
    ).last_hidden_state
    return hidden


def _forbidden(rules: DecodingRules, vocab_size: int, device: torch.device) -> Tensor:
    """What may not be the first token, and what may be no token at all: bool (2, vocabulary)."""
    forbidden = torch.zeros((2, vocab_size), dtype=torch.bool)
    forbidden[:, list(rules.suppressed_ids)] = True
    forbidden[0, list(rules.suppressed_first_ids)] = True
    return forbidden.to(device)


def _results(
    tokens: Sequence[Sequence[int]],
    logprobs: Sequence[float],
    no_speech: Sequence[float],
    rules: DecodingRules,
) -> list[Decoded]:
    """Cut each sequence behind its end token, the rest of the row being padding."""
    results = []
    for sequence, sum_logprob, no_speech_prob in zip(tokens, logprobs, no_speech, strict=True):
        has_end = rules.end_id in sequence
        num_before_end = sequence.index(rules.end_id) if has_end else len(sequence)
        sampled = sequence[: num_before_end + 1]
        results.append(
            Decoded(
                tokens=(*rules.prompt, *sampled),
                avg_logprob=sum_logprob / (num_before_end + 1),
                no_speech_prob=no_speech_prob,
            )
        )
    return results

"""Turns the tokens of one decoding attempt into a result; every Whisper engine shares it."""

from collections.abc import Sequence

from transformers import WhisperTokenizer

from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.engine import AudioWindow, DecodingResult
from tasks.whisper.excerpt import FRAME_SAMPLES
from tasks.whisper.segments import TimedLabel, extend


def decoding_result(
    window: AudioWindow,
    new_tokens: Sequence[int],
    rules: DecodingRules,
    tokenizer: WhisperTokenizer,
    *,
    sum_logprob: float,
    no_speech_prob: float,
    has_end: bool,
) -> DecodingResult:
    """The result of decoding `window` to `new_tokens`, which have no prompt and no end token.

    `sum_logprob` is over the new tokens and the end token. With timestamps the result continues
    what the window had covered; see `tasks.whisper.segments`.
    """
    label = TimedLabel(tokens=tuple(new_tokens), num_segments=1, end_s=None, rest=None)
    if rules.timestamps is not None:
        num_frames = -(-len(window.samples) // FRAME_SAMPLES)
        label = extend(window.covered, new_tokens, rules.timestamps, num_frames)
    # decoding continues at the last timestamp, whatever came after it
    has_end |= label.rest is not None
    num_decoded = len(new_tokens) + 1
    return DecodingResult(
        text=text_of(text_tokens(label.tokens, rules.end_id), tokenizer),
        tokens=(*rules.prompt, *label.tokens, *([rules.end_id] if has_end else [])),
        # as in openai/whisper (whisper/decoding.py) the divisor always counts an end token
        avg_logprob=sum_logprob / num_decoded,
        no_speech_prob=no_speech_prob,
        has_end=has_end,
        num_decoded=num_decoded,
        num_segments=label.num_segments,
        end_s=label.end_s,
        rest=label.rest,
    )


def text_tokens(tokens: Sequence[int], end_id: int) -> list[int]:
    """The tokens without timestamps and other special ones; `end_id` is that of the end token."""
    # in every Whisper vocabulary the ids of text, and only those, are below the end token's
    return [token for token in tokens if token < end_id]


def text_of(tokens: Sequence[int], tokenizer: WhisperTokenizer) -> str:
    """The text of text tokens."""
    return str(tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)).strip()

"""Turns the tokens of one decoding attempt into a result; every Whisper engine shares it."""

from collections.abc import Sequence

from transformers import WhisperTokenizer

from tasks.audio import SAMPLE_RATE_HZ
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.engine import AudioWindow, DecodingResult
from tasks.whisper.segments import FRAMES_PER_STEP, STEP_S, TimedLabel, extend

_FRAME_SAMPLES = round(SAMPLE_RATE_HZ * STEP_S / FRAMES_PER_STEP)


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
        num_frames = -(-len(window.samples) // _FRAME_SAMPLES)
        label = extend(window.covered, new_tokens, rules.timestamps, num_frames)
    # decoding continues at the last timestamp, whatever came after it
    has_end |= label.rest is not None
    # in every Whisper vocabulary the ids of text, and only those, are below the end token's
    text_ids = [token for token in label.tokens if token < rules.end_id]
    text = tokenizer.decode(text_ids, clean_up_tokenization_spaces=False)
    num_decoded = len(new_tokens) + 1
    return DecodingResult(
        text=str(text).strip(),
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

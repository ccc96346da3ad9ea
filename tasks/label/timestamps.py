"""Whisper's rules for timestamp tokens, for a whole batch at once and without leaving the device.

The rules are those of `ApplyTimestampRules` in openai/whisper (whisper/decoding.py).
"""

import torch
from torch import Tensor

from tasks.label.rules import TimestampRules


def apply_timestamp_rules(logits: Tensor, sampled: Tensor, rules: TimestampRules) -> Tensor:
    """The logits of the next token with what the rules forbid at minus infinity.

    `logits` is float32 (windows, vocabulary), `sampled` int64 (windows, tokens so far without the
    prompt). An answer opens with a timestamp; timestamps come in pairs, the end of one segment and
    the start of the next, except before the end of the text; they never decrease, and no segment
    has no length; and where all timestamps together are likelier than any one text token, one of
    them it must be.
    """
    ids = torch.arange(logits.shape[1], device=logits.device)
    is_time = ids >= rules.first_id
    forbidden = (ids == rules.no_timestamps_id).expand_as(logits)
    if sampled.shape[1] == 0:
        forbidden = forbidden | ~is_time
        if rules.max_initial_steps is not None:
            forbidden = forbidden | (ids > rules.first_id + rules.max_initial_steps)
        return logits.masked_fill(forbidden, -torch.inf)

    was_time = sampled >= rules.first_id
    last = was_time[:, -1:]
    # an answer's first timestamp opens a segment by itself, as if it followed another
    before_last = was_time[:, -2:-1] if sampled.shape[1] > 1 else torch.ones_like(last)
    closes_segment = last & ~before_last
    # they never decrease, so the latest is the highest
    latest = sampled.where(was_time, rules.first_id - 1).amax(dim=1, keepdim=True)
    earliest_next = latest + (~closes_segment).long()
    forbidden = (
        forbidden
        | (is_time & (last & before_last))
        | ((ids < rules.end_id) & closes_segment)
        | (is_time & (ids < earliest_next))
    )
    return _prefer_time(logits.masked_fill(forbidden, -torch.inf), is_time)


def _prefer_time(logits: Tensor, is_time: Tensor) -> Tensor:
    logprobs = logits.log_softmax(dim=-1)
    time = logprobs.masked_fill(~is_time, -torch.inf).logsumexp(dim=-1, keepdim=True)
    best_text = logprobs.masked_fill(is_time, -torch.inf).amax(dim=-1, keepdim=True)
    return logits.masked_fill(~is_time & (time > best_text), -torch.inf)

"""Whisper's rules for timestamp tokens, for a whole batch at once and without leaving the device.

The rules are those of `ApplyTimestampRules` in openai/whisper (whisper/decoding.py). What they need
of a text is little: its last two tokens and its latest time.
"""

import torch
from torch import Tensor

from tasks.whisper.decoding.rules import TimestampRules


def apply_timestamp_rules(
    logits: Tensor, before_last: Tensor, last: Tensor, latest: Tensor, rules: TimestampRules
) -> Tensor:
    """The logits of the next token with what the rules forbid at minus infinity.

    `logits` is float32 (..., vocabulary), the others int64 (...): the two tokens before it, and the
    highest timestamp so far. An answer's first token opens a segment by itself, as if it followed
    another timestamp: `before_last` is then any timestamp. Timestamps come in pairs, the end of one
    segment and the start of the next, except before the end of the text; they never decrease, and
    no segment has no length; and where all timestamps together are likelier than any one text
    token, one of them it must be. The token that switches timestamps off is not forbidden here, for
    it never is allowed.
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    is_time = ids >= rules.first_id
    last_is_time = (last >= rules.first_id)[..., None]
    closes_segment = last_is_time & (before_last < rules.first_id)[..., None]
    # they never decrease, so the latest is the highest
    earliest_next = latest[..., None] + (~closes_segment).long()
    forbidden = (
        (is_time & last_is_time & ~closes_segment)
        | ((ids < rules.end_id) & closes_segment)
        | (is_time & (ids < earliest_next))
    )
    return _prefer_time(logits.masked_fill(forbidden, -torch.inf), is_time)


def latest_times(latest: Tensor, tokens: Tensor, rules: TimestampRules) -> Tensor:
    """The highest timestamp up to each of `tokens`, int64 (rows, tokens), from that before them.

    `latest` is int64 (rows,); below `rules.first_id` means none so far.
    """
    times = tokens.where(tokens >= rules.first_id, rules.first_id - 1)
    return times.cummax(dim=1).values.maximum(latest[:, None])


def _prefer_time(logits: Tensor, is_time: Tensor) -> Tensor:
    time = logits.masked_fill(~is_time, -torch.inf).logsumexp(dim=-1, keepdim=True)
    best_text = logits.masked_fill(is_time, -torch.inf).amax(dim=-1, keepdim=True)
    return logits.masked_fill(~is_time & (time > best_text), -torch.inf)

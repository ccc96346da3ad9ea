"""Whisper's rules for timestamp tokens, applied to a whole batch on the device.

The rules are those of `ApplyTimestampRules` in openai/whisper (whisper/decoding.py). They depend
only on the last two tokens and the highest timestamp of a hypothesis.
"""

import torch
from torch import Tensor

from tasks.whisper.decoding.rules import TimestampRules


def apply_timestamp_rules(
    logits: Tensor,
    second_to_last: Tensor,
    last: Tensor,
    max_timestamp: Tensor,
    rules: TimestampRules,
) -> Tensor:
    """Set the logits of forbidden next tokens to minus infinity.

    `logits` is float32 (..., vocabulary), the others int64 (...): the last two tokens and the
    highest timestamp so far. The first token of a hypothesis opens a segment by itself, as if it
    followed another timestamp: pass any timestamp as `second_to_last` then.

    Timestamps come in pairs, the end of a segment and the start of the next, except before the end
    token; they never decrease; no segment has length zero; and if all timestamps together are more
    likely than the best text token, a timestamp is forced. The no-timestamps token is not masked
    here because it is suppressed everywhere.
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    is_timestamp = ids >= rules.first_id
    follows_timestamp = (last >= rules.first_id)[..., None]
    closes_segment = follows_timestamp & (second_to_last < rules.first_id)[..., None]
    min_timestamp = max_timestamp[..., None] + (~closes_segment).long()
    forbidden = (
        (is_timestamp & follows_timestamp & ~closes_segment)
        | ((ids < rules.end_id) & closes_segment)
        | (is_timestamp & (ids < min_timestamp))
    )
    return _force_likely_timestamp(logits.masked_fill(forbidden, -torch.inf), is_timestamp)


def running_max_timestamp(max_timestamp: Tensor, tokens: Tensor, rules: TimestampRules) -> Tensor:
    """The highest timestamp up to each of `tokens`, int64 (rows, tokens).

    `max_timestamp`, int64 (rows,), is the highest one before them; a value below `rules.first_id`
    means none so far.
    """
    timestamps = tokens.where(tokens >= rules.first_id, rules.first_id - 1)
    return timestamps.cummax(dim=1).values.maximum(max_timestamp[:, None])


def _force_likely_timestamp(logits: Tensor, is_timestamp: Tensor) -> Tensor:
    timestamps = logits.masked_fill(~is_timestamp, -torch.inf).logsumexp(dim=-1, keepdim=True)
    best_text = logits.masked_fill(is_timestamp, -torch.inf).amax(dim=-1, keepdim=True)
    return logits.masked_fill(~is_timestamp & (timestamps > best_text), -torch.inf)

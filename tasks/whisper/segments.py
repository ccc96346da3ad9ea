"""Where a label with timestamps ends, and where to continue decoding if audio remains.

The rules are those of `transcribe` in openai/whisper (whisper/transcribe.py), applied inside one
window. Deals with token ids only; it has no notion of audio or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tasks.whisper.decoding.rules import TimestampRules

STEP_S: Final = 0.02
"""Seconds between two timestamp tokens."""
FRAMES_PER_STEP: Final = 2
"""Frames of the features, 10 ms each, between two timestamp tokens."""


@dataclass(frozen=True, slots=True)
class Covered:
    """The beginning of a window, up to frame `seek`, that has been decoded to `tokens`.

    `tokens` has no prompt and no end token, and its times are those of the window.
    """

    seek: int = 0
    tokens: tuple[int, ...] = ()


NOTHING_COVERED: Final = Covered()


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedLabel:
    """Everything decoded so far: `tokens` as in `Covered`, in `num_segments` between timestamps.

    `end_s` is the end of the last segment in seconds, None if no timestamp closes it. `rest` says
    where to continue, None if the rest of the window is silence or was decoded to the end.
    """

    tokens: tuple[int, ...]
    num_segments: int
    end_s: float | None
    rest: Covered | None


def extend(
    covered: Covered, new_tokens: Sequence[int], rules: TimestampRules, num_frames: int
) -> TimedLabel:
    """Append what was decoded from frame `covered.seek` on, times relative to it, to a label.

    `new_tokens` has no prompt and no end token; `num_frames` is the length of the audio. A single
    timestamp at the end says that no speech follows. Two say that the next segment begins there: it
    is decoded again from its own beginning, and what was decoded of it is discarded.
    """
    tokens = [*covered.tokens, *_shifted(new_tokens, covered.seek // FRAMES_PER_STEP, rules)]
    is_timestamp = [token >= rules.first_id for token in tokens]
    # the first new timestamp forms a pair with the last one before it, which ends nothing new
    next_segments = [
        index
        for index in range(len(covered.tokens) + 1, len(tokens))
        if is_timestamp[index - 1] and is_timestamp[index]
    ]
    if not next_segments or is_timestamp[-2:] == [False, True]:
        return _label(tokens, rules, None)
    kept = tuple(tokens[: next_segments[-1]])
    seek = FRAMES_PER_STEP * (kept[-1] - rules.first_id)
    is_progress = covered.seek < seek < num_frames
    return _label(kept, rules, Covered(seek, kept) if is_progress else None)


def _shifted(tokens: Sequence[int], num_steps: int, rules: TimestampRules) -> list[int]:
    """Move timestamps later, at most to the end of the window."""
    return [
        min(token + num_steps, rules.last_id) if token >= rules.first_id else token
        for token in tokens
    ]


def _label(tokens: Sequence[int], rules: TimestampRules, rest: Covered | None) -> TimedLabel:
    is_timestamp = [token >= rules.first_id for token in tokens]
    opened = (is_time and not next_is_time for is_time, next_is_time in pairwise(is_timestamp))
    is_closed = bool(tokens) and is_timestamp[-1]
    return TimedLabel(
        tokens=tuple(tokens),
        num_segments=sum(opened),
        end_s=STEP_S * (tokens[-1] - rules.first_id) if is_closed else None,
        rest=rest,
    )

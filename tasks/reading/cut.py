"""A window that is cut down to some of its utterances: its sound, its label, its times.

Knows rows of labels and of kept windows; knows no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_STEP_S: Final = 0.02
"""What a timestamp token counts in, in every Whisper."""


@dataclass(frozen=True, slots=True)
class AlignmentChunk:
    """An utterance that is left: where it was in the window, where it is now, and how long it is.

    `first` and `end` are the places of its text among the tokens of the label.
    """

    utterance_id: str
    was_s: float
    now_s: float
    duration_s: float
    first: int
    end: int


def stretches(label: dict[str, Any], kept: dict[str, Any]) -> list[AlignmentChunk]:
    """The utterances of a kept window (KEPT, `cut`), one after the other without a gap.

    `label` is the row of its label. Raises `KeyError` for an utterance that is not in the window.
    """
    ids, starts_s = label["utterance_ids"], label["offsets_s"]
    ends_s = [*starts_s[1:], label["duration_s"]]
    at_s = dict(zip(ids, zip(starts_s, ends_s, strict=True), strict=True))
    now_s = 0.0
    found: list[AlignmentChunk] = []
    for name, (first, end) in zip(kept["utterance_ids"], kept["cut"]["token_spans"], strict=True):
        start_s, end_s = at_s[name]
        found.append(AlignmentChunk(name, start_s, now_s, end_s - start_s, first, end))
        now_s += end_s - start_s
    return found


def cut_tokens(
    tokens: Sequence[int], left: Sequence[AlignmentChunk], cut: dict[str, Any]
) -> tuple[int, ...]:
    """A label without what was said by others: prompt, texts, end, and times as they are now.

    A label with timestamps has one before and after each utterance: the one that was there, or
    where the utterance begins or ends. None is outside of its utterance.
    """
    num_prompt, zero = cut["num_prompt_tokens"], cut["zero_time_id"]
    said = list(tokens[:num_prompt])
    for one in left:
        text = tokens[one.first : one.end]
        if not text or zero is None:
            said += text
            continue
        said += _timed(tokens, one, num_prompt, zero)
    if tokens and tokens[-1] == tokens[0] - 1:  # the end token, unless the label has none
        said.append(tokens[-1])
    return tuple(said)


def _timed(tokens: Sequence[int], one: AlignmentChunk, num_prompt: int, zero: int) -> list[int]:
    earliest, latest = (
        zero + round(at_s / _STEP_S) for at_s in (one.now_s, one.now_s + one.duration_s)
    )
    moved = round((one.now_s - one.was_s) / _STEP_S)

    def now(token: int) -> int:
        return min(max(token + moved, earliest), latest)

    before = tokens[one.first - 1] if one.first > num_prompt else 0
    after = tokens[one.end] if one.end < len(tokens) else 0
    return [
        now(before) if before >= zero else earliest,
        *(now(token) if token >= zero else token for token in tokens[one.first : one.end]),
        now(after) if after >= zero else latest,
    ]

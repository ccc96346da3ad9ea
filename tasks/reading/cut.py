"""Cuts a window down to some of its utterances: audio offsets, label tokens and timestamps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_STEP_S: Final = 0.02
"""Resolution of Whisper's timestamp tokens."""


@dataclass(frozen=True, slots=True)
class AlignmentChunk:
    """A kept utterance: its place in the original window and in the window that is left.

    `token_start` and `token_end` delimit its text in the tokens of the original label.
    """

    utterance_id: str
    source_start_s: float
    start_s: float
    duration_s: float
    token_start: int
    token_end: int


def kept_chunks(label: dict[str, Any], kept: dict[str, Any]) -> list[AlignmentChunk]:
    """The utterances of a kept window (a row of KEPT with a `cut`), joined without gaps.

    `label` is the row of LABELS of the window. Raises `KeyError` for an utterance that is not in
    it.
    """
    ids, starts_s = label["utterance_ids"], label["offsets_s"]
    ends_s = [*starts_s[1:], label["duration_s"]]
    bounds_s = dict(zip(ids, zip(starts_s, ends_s, strict=True), strict=True))
    start_s = 0.0
    chunks: list[AlignmentChunk] = []
    for name, span in zip(kept["utterance_ids"], kept["cut"]["token_spans"], strict=True):
        source_start_s, source_end_s = bounds_s[name]
        duration_s = source_end_s - source_start_s
        chunks.append(AlignmentChunk(name, source_start_s, start_s, duration_s, *span))
        start_s += duration_s
    return chunks


def cut_tokens(
    tokens: Sequence[int], chunks: Sequence[AlignmentChunk], cut: dict[str, Any]
) -> tuple[int, ...]:
    """The label of the chunks: prompt, their texts with shifted timestamps, end token.

    In a label with timestamps each text is enclosed by two of them: those of the original label
    next to it, otherwise the bounds of the utterance. All are clipped to the utterance.
    """
    num_prompt, zero = cut["num_prompt_tokens"], cut["zero_time_id"]
    result = list(tokens[:num_prompt])
    for chunk in chunks:
        text = tokens[chunk.token_start : chunk.token_end]
        result += _timed(tokens, chunk, num_prompt, zero) if text and zero is not None else text
    if tokens and tokens[-1] == tokens[0] - 1:  # the end token, unless the label has none
        result.append(tokens[-1])
    return tuple(result)


def _timed(tokens: Sequence[int], chunk: AlignmentChunk, num_prompt: int, zero: int) -> list[int]:
    earliest = zero + round(chunk.start_s / _STEP_S)
    latest = zero + round((chunk.start_s + chunk.duration_s) / _STEP_S)
    shift = round((chunk.start_s - chunk.source_start_s) / _STEP_S)

    def shifted(token: int) -> int:
        return min(max(token + shift, earliest), latest)

    start, end = chunk.token_start, chunk.token_end
    before = tokens[start - 1] if start > num_prompt else 0
    after = tokens[end] if end < len(tokens) else 0
    return [
        shifted(before) if before >= zero else earliest,
        *(shifted(token) if token >= zero else token for token in tokens[start:end]),
        shifted(after) if after >= zero else latest,
    ]

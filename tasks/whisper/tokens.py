"""Whisper's token sequences: prompts, training targets, labels with and without timestamps.

A sequence is start, language, task and optionally no-timestamps, then text with or without
timestamps, then the end token; English-only models have neither language nor task.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from transformers import WhisperTokenizer

from storage.errors import ShardError, UserError

Tokens = tuple[int, ...]

IGNORED: Final = -100
"""The target of positions without a loss: prompt and padding."""

_PREVIOUS: Final = "<|startofprev|>"


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The ids that divide a Whisper vocabulary.

    Every Whisper orders its ids as: text, end, start, languages, translate, other special tokens,
    no-timestamps, timestamps.
    """

    end_id: int
    start_id: int
    translate_id: int
    no_timestamps_id: int
    previous_id: int | None = None  # starts previous text; None: no such token

    @classmethod
    def of(cls, tokenizer: WhisperTokenizer) -> Self:
        """Read the ids from a tokenizer; raises `UserError` for another layout than Whisper's."""
        names = ("<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|notimestamps|>")
        converted: Any = tokenizer.convert_tokens_to_ids(list(names))
        ids: list[int] = converted
        if not ids[0] < ids[1] < ids[2] < ids[3]:
            raise UserError(
                f"the tokenizer's layout is not Whisper's: {', '.join(names)} have the ids {ids},"
                " expected increasing ones; use the teacher's own tokenizer"
            )
        previous: Any = tokenizer.convert_tokens_to_ids(_PREVIOUS)
        is_known = previous is not None and ids[2] < previous < ids[3]
        return cls(
            end_id=ids[0],
            start_id=ids[1],
            translate_id=ids[2],
            no_timestamps_id=ids[3],
            previous_id=previous if is_known else None,
        )

    def is_language(self, token: int) -> bool:
        """Whether a token is a language token."""
        return self.start_id < token < self.translate_id

    def is_timestamp(self, token: int) -> bool:
        """Whether a token is a timestamp."""
        return token > self.no_timestamps_id

    def prompt_length(self, tokens: Sequence[int]) -> int:
        """The number of prompt tokens at the start of a sequence."""
        for position, token in enumerate(tokens):
            if not self.end_id < token <= self.no_timestamps_id:
                return position
        return len(tokens)


def refuse_incomplete(tokens: Sequence[int], special: SpecialTokens, window_id: str) -> None:
    """Raise `ShardError` unless a label starts with the start token."""
    if not tokens or tokens[0] != special.start_id:
        raise ShardError(
            f"the label of window {window_id} begins with {list(tokens[:4])}, expected"
            f" <|startoftranscript|>, {special.start_id}: store the full sequence as the label"
        )


def with_timestamp_choice(
    tokens: Tokens, special: SpecialTokens, probability: float, choice: str
) -> Tokens:
    """Keep the timestamps of a label with a given probability, otherwise remove them.

    `choice` identifies the draw: the same one always gives the same result. A label that was
    decoded without timestamps is returned unchanged.
    """
    num_prompt = special.prompt_length(tokens)
    if special.no_timestamps_id in tokens[:num_prompt]:
        return tokens
    if is_chosen("timestamps", choice, probability):
        return tokens
    text = (token for token in tokens[num_prompt:] if not special.is_timestamp(token))
    return (*tokens[:num_prompt], special.no_timestamps_id, *text)


def is_chosen(what: str, choice: str, probability: float) -> bool:
    """A reproducible random draw: true with `probability`, a pure function of both names."""
    digest = hashlib.sha256(f"{what} {choice}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 < probability


def previous_prompt(
    previous: Sequence[int], tokens: Sequence[int], special: SpecialTokens, max_tokens: int
) -> Tokens:
    """The previous-text prompt before a label: the end of `previous`, at most `max_tokens` long.

    Keeps the text of the previous window's label, and its timestamps if `tokens` has some. Empty
    if no text remains or fits. Raises `UserError` for a vocabulary without <|startofprev|>.
    """
    if special.previous_id is None:
        raise UserError(
            f"the tokenizer has no {_PREVIOUS}, so the model cannot be prompted with previous text;"
            " set distil.previous_text_probability to 0"
        )
    is_timed = special.no_timestamps_id not in tokens[: special.prompt_length(tokens)]
    text = [
        token
        for token in previous
        if token < special.end_id or (is_timed and special.is_timestamp(token))
    ]
    num_kept = min(len(text), max_tokens - 1)
    return (special.previous_id, *text[-num_kept:]) if num_kept > 0 else ()


def inputs_and_targets(
    tokens: Tokens, special: SpecialTokens, previous: Tokens = (), *, trains_prompt: bool = False
) -> tuple[Tokens, Tokens]:
    """Decoder inputs and targets of a label, of equal length.

    `previous` precedes the label and has no loss. Task and no-timestamps tokens are always given
    to the model, so their targets are `IGNORED` unless the student `trains_prompt`. The language is
    trained on in any case, as in Whisper: `generate` predicts it when none is given, and reads the
    no-speech probability at the same position.
    """
    num_prompt = 0 if trains_prompt else special.prompt_length(tokens)
    targets = tuple(
        token if position >= num_prompt or special.is_language(token) else IGNORED
        for position, token in enumerate(tokens)
    )
    return (*previous, *tokens)[:-1], ((IGNORED,) * len(previous) + targets)[1:]

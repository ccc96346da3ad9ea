"""Whisper's token sequences: the prompt, what of a sequence is learnt, labels without timestamps.

A sequence is start, language, task, the choice of no timestamps, then text with or without
timestamps, then the end; English-only models have neither language nor task.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from transformers import WhisperTokenizer

from storage.errors import ShardError, UserError

Tokens = tuple[int, ...]

IGNORED: Final = -100
"""The target of a position that is not trained on: prompt and padding."""

_PREVIOUS: Final = "<|startofprev|>"


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The ids that divide a Whisper vocabulary.

    In every Whisper they stand in this order: text, end, start, languages, translate, other
    special tokens, no timestamps, timestamps.
    """

    end_id: int
    start_id: int
    translate_id: int
    no_timestamps_id: int
    previous_id: int | None = None  # begins previous text; None: the vocabulary has no such token

    @classmethod
    def of(cls, tokenizer: WhisperTokenizer) -> Self:
        """Those of a tokenizer; raises `UserError` when it is not laid out as Whisper's."""
        names = ("<|endoftext|>", "<|startoftranscript|>", "<|translate|>", "<|notimestamps|>")
        found: Any = tokenizer.convert_tokens_to_ids(list(names))
        ids: list[int] = found
        if not ids[0] < ids[1] < ids[2] < ids[3]:
            raise UserError(
                f"the tokenizer is not laid out as Whisper's: {', '.join(names)} have the ids"
                f" {ids}, expected rising ones; take the teacher's own tokenizer"
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
        """Whether a token names a language."""
        return self.start_id < token < self.translate_id

    def is_timestamp(self, token: int) -> bool:
        """Whether a token is a time in the window."""
        return token > self.no_timestamps_id

    def prompt_length(self, tokens: Sequence[int]) -> int:
        """How many tokens at the start are the prompt."""
        for position, token in enumerate(tokens):
            if not self.end_id < token <= self.no_timestamps_id:
                return position
        return len(tokens)


def refuse_incomplete(tokens: Sequence[int], special: SpecialTokens, window_id: str) -> None:
    """Raise `ShardError` unless a label begins with the start token."""
    if not tokens or tokens[0] != special.start_id:
        raise ShardError(
            f"the label of window {window_id} begins with {list(tokens[:4])}, expected"
            f" <|startoftranscript|>, {special.start_id}: label it with the full sequence"
        )


def with_timestamp_choice(
    tokens: Tokens, special: SpecialTokens, probability: float, choice: str
) -> Tokens:
    """A label as it is learnt this time: its timestamps stay with a probability.

    `choice` names the draw, so the same one always has the same result. A label that was made
    without timestamps is returned as it is.
    """
    num_prompt = special.prompt_length(tokens)
    if special.no_timestamps_id in tokens[:num_prompt]:
        return tokens
    if is_chosen("timestamps", choice, probability):
        return tokens
    text = (token for token in tokens[num_prompt:] if not special.is_timestamp(token))
    return (*tokens[:num_prompt], special.no_timestamps_id, *text)


def is_chosen(what: str, choice: str, probability: float) -> bool:
    """A draw with a probability, with the same result for the same names everywhere."""
    digest = hashlib.sha256(f"{what} {choice}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48 < probability


def previous_prompt(
    previous: Sequence[int], tokens: Sequence[int], special: SpecialTokens, max_tokens: int
) -> Tokens:
    """What stands before a label that is told the text before it: its end, of at most `max_tokens`.

    Of the label of the previous window the text stays, and the timestamps where `tokens` has them
    too. Empty where no text remains or fits. Raises `UserError` for a vocabulary without the token
    that begins previous text.
    """
    if special.previous_id is None:
        raise UserError(
            f"the tokenizer has no {_PREVIOUS}, so the model cannot be told previous text; set"
            " distil.previous_text_probability to 0"
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
    tokens: Tokens, special: SpecialTokens, previous: Tokens = ()
) -> tuple[Tokens, Tokens]:
    """What the decoder reads and what it has to predict there, of equal length.

    `previous` is read before the label and never learnt. Task and timestamps are chosen for the
    model and never asked of it, so they are `IGNORED`. The language is learnt, as Whisper learns
    it: `generate` asks for it when none is given, and reads the probability of no speech at the
    same position.
    """
    num_prompt = special.prompt_length(tokens)
    targets = tuple(
        token if position >= num_prompt or special.is_language(token) else IGNORED
        for position, token in enumerate(tokens)
    )
    return (*previous, *tokens)[:-1], ((IGNORED,) * len(previous) + targets)[1:]

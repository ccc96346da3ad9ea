"""Decoding rules of a model: prompt, token limit, suppressed tokens, timestamps.

They are read from the model's own generation settings, so that any released Whisper, and any
student of one, is prompted as it was trained. Deals with token ids only; it runs no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.schema import Label
from storage.errors import UserError

if TYPE_CHECKING:  # it imports torch, and stages that only read labels do without
    from transformers import GenerationConfig, WhisperConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class TimestampRules:
    """`first_id` is the token of 0.00 s; all ids from it on are timestamps, in steps of 0.02 s.

    `last_id` is the token of the end of the window. `max_initial_steps` is the latest first
    timestamp, in such steps; None means no limit.
    """

    first_id: int
    last_id: int
    no_timestamps_id: int
    end_id: int
    max_initial_steps: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingRules:
    """Everything besides the audio that determines the tokens of a window."""

    language: str
    prompt: tuple[int, ...]
    end_id: int
    no_speech_id: int
    suppressed_ids: tuple[int, ...]
    suppressed_first_ids: tuple[int, ...]  # as the first token of a hypothesis
    max_new_tokens: int
    timestamps: TimestampRules | None


def decoding_rules(
    generation: "GenerationConfig", config: "WhisperConfig", settings: Label
) -> DecodingRules:
    """The decoding rules of a model under `settings`.

    Without `max_new_tokens` the limit is half of the decoder's positions, as in openai/whisper.
    Raises `UserError` for a language or task that the model does not support, for a token limit
    above its number of positions, and for generation settings that are not a Whisper's.
    """
    no_timestamps_id = getattr(generation, "no_timestamps_token_id", None)
    start_id, end_id = generation.decoder_start_token_id, generation.eos_token_id
    if no_timestamps_id is None or start_id is None or not isinstance(end_id, int):
        raise UserError(
            "the model's generation_config.json is not a Whisper's: expected"
            " no_timestamps_token_id, decoder_start_token_id and eos_token_id, found"
            f" {no_timestamps_id}, {start_id} and {end_id}; copy the file of the released model"
        )
    prompt = [start_id, *_language_and_task(generation, settings)]
    if not settings.timestamps:
        prompt.append(no_timestamps_id)
    return DecodingRules(
        language=settings.language,
        prompt=tuple(prompt),
        end_id=end_id,
        # the no-speech token directly precedes no-timestamps in every Whisper vocabulary
        no_speech_id=no_timestamps_id - 1,
        suppressed_ids=tuple(generation.suppress_tokens or ()),
        suppressed_first_ids=tuple(generation.begin_suppress_tokens or ()),
        max_new_tokens=_max_new_tokens(config.max_target_positions, len(prompt), settings),
        timestamps=TimestampRules(
            first_id=no_timestamps_id + 1,
            # the encoder has a position for every 0.02 s
            last_id=no_timestamps_id + 1 + config.max_source_positions,
            no_timestamps_id=no_timestamps_id,
            end_id=end_id,
            max_initial_steps=getattr(generation, "max_initial_timestamp_index", None),
        )
        if settings.timestamps
        else None,
    )


def _language_and_task(generation: "GenerationConfig", settings: Label) -> list[int]:
    """Two tokens; none for an English-only model, which has no such tokens in its prompt."""
    languages: Mapping[str, int] = getattr(generation, "lang_to_id", None) or {}
    if not getattr(generation, "is_multilingual", bool(languages)):
        if (settings.language, settings.task) != ("en", "transcribe"):
            raise UserError(
                f"the teacher is English-only and cannot {settings.task} {settings.language!r};"
                " set language: en and task: transcribe, or use a multilingual teacher"
            )
        return []
    tasks: Mapping[str, int] = getattr(generation, "task_to_id", None) or {}
    token = f"<|{settings.language}|>"
    if token not in languages or settings.task not in tasks:
        known = ", ".join(sorted(name.strip("<|>") for name in languages))
        raise UserError(
            f"the teacher cannot {settings.task} the language {settings.language!r}; it supports"
            f" the tasks {', '.join(sorted(tasks)) or 'none'} and the languages {known or 'none'}"
        )
    return [languages[token], tasks[settings.task]]


def _max_new_tokens(num_positions: int, num_prompt: int, settings: Label) -> int:
    limit = num_positions - num_prompt
    if settings.max_new_tokens is None:
        return min(num_positions // 2, limit)
    if settings.max_new_tokens > limit:
        raise UserError(
            f"max_new_tokens is {settings.max_new_tokens}, but the teacher has {num_positions}"
            f" positions of which the prompt takes {num_prompt}; set it to at most {limit}"
        )
    return settings.max_new_tokens

"""What a Whisper is asked and what it may answer: prompt, limits, and tokens it may not use.

Read from the model's own generation settings, so that every released Whisper and every student
made from one is asked as it was taught. Knows token ids; runs no model.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import GenerationConfig, WhisperConfig

from configs.schema import Label
from storage.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class TimestampRules:
    """`first_id` is the token of 0.00 s; all ids from it on are timestamps, in steps of 0.02 s.

    `max_initial_steps` is how late the first one may be; None: at any time.
    """

    first_id: int
    no_timestamps_id: int
    end_id: int
    max_initial_steps: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingRules:
    """Everything that decides the tokens of a window beside its sound."""

    prompt: tuple[int, ...]
    end_id: int
    no_speech_id: int
    suppressed_ids: tuple[int, ...]
    suppressed_first_ids: tuple[int, ...]  # as the first token of an answer
    max_new_tokens: int
    timestamps: TimestampRules | None


def decoding_rules(
    generation: GenerationConfig, config: WhisperConfig, settings: Label
) -> DecodingRules:
    """The rules of one model under `settings`.

    Without `max_new_tokens` half of the decoder's positions is the limit, as in openai/whisper.
    Raises `UserError` for a language or task that the model does not know, for more tokens than it
    has positions, and for a model whose generation settings are not a Whisper's.
    """
    no_timestamps_id = getattr(generation, "no_timestamps_token_id", None)
    start_id, end_id = generation.decoder_start_token_id, generation.eos_token_id
    if no_timestamps_id is None or start_id is None or not isinstance(end_id, int):
        raise UserError(
            "the model's generation_config.json is not a Whisper's: expected"
            " no_timestamps_token_id, decoder_start_token_id and eos_token_id, found"
            f" {no_timestamps_id}, {start_id} and {end_id}; take the one of the released model"
        )
    prompt = [start_id, *_language_and_task(generation, settings)]
    if not settings.timestamps:
        prompt.append(no_timestamps_id)
    return DecodingRules(
        prompt=tuple(prompt),
        end_id=end_id,
        # Whisper's special tokens stand in this order in every vocabulary of it
        no_speech_id=no_timestamps_id - 1,
        suppressed_ids=tuple(generation.suppress_tokens or ()),
        suppressed_first_ids=tuple(generation.begin_suppress_tokens or ()),
        max_new_tokens=_max_new_tokens(config.max_target_positions, len(prompt), settings),
        timestamps=TimestampRules(
            first_id=no_timestamps_id + 1,
            no_timestamps_id=no_timestamps_id,
            end_id=end_id,
            max_initial_steps=getattr(generation, "max_initial_timestamp_index", None),
        )
        if settings.timestamps
        else None,
    )


def _language_and_task(generation: GenerationConfig, settings: Label) -> list[int]:
    """Two tokens, or none for an English-only model, which was never taught any."""
    languages: Mapping[str, int] = getattr(generation, "lang_to_id", None) or {}
    if not getattr(generation, "is_multilingual", bool(languages)):
        if (settings.language, settings.task) != ("en", "transcribe"):
            raise UserError(
                f"the teacher knows English only and cannot {settings.task} {settings.language!r};"
                " set language: en and task: transcribe, or take a multilingual teacher"
            )
        return []
    tasks: Mapping[str, int] = getattr(generation, "task_to_id", None) or {}
    token = f"<|{settings.language}|>"
    if token not in languages or settings.task not in tasks:
        known = ", ".join(sorted(name.strip("<|>") for name in languages))
        raise UserError(
            f"the teacher cannot {settings.task} the language {settings.language!r}; it has the"
            f" tasks {', '.join(sorted(tasks)) or 'none'} and the languages {known or 'none'}"
        )
    return [languages[token], tasks[settings.task]]


def _max_new_tokens(num_positions: int, num_prompt: int, settings: Label) -> int:
    limit = num_positions - num_prompt
    if settings.max_new_tokens is None:
        return min(num_positions // 2, limit)
    if settings.max_new_tokens > limit:
        raise UserError(
            f"max_new_tokens is {settings.max_new_tokens}, and the teacher has {num_positions}"
            f" positions of which the prompt takes {num_prompt}; set it to {limit} at most"
        )
    return settings.max_new_tokens

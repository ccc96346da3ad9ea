"""Training targets of labels, and labels with and without timestamps."""

import pytest

from storage.errors import ShardError, UserError
from tasks.whisper.tokens import (
    IGNORED,
    SpecialTokens,
    inputs_and_targets,
    previous_prompt,
    refuse_incomplete,
    with_timestamp_choice,
)

# text 0-9, end 10, start 11, languages 12-13, translate 14, transcribe 15, none 16, times from 17
SPECIAL = SpecialTokens(end_id=10, start_id=11, translate_id=14, no_timestamps_id=16)
PLAIN = (11, 12, 15, 16, 1, 2, 10)
TIMED = (11, 12, 15, 17, 1, 19, 19, 2, 23, 10)
ENGLISH_ONLY = (11, 16, 1, 2, 10)


def test_ids_are_read_from_the_tokenizer(processor, special) -> None:
    ids = processor.tokenizer.convert_tokens_to_ids
    assert special.is_language(ids("<|en|>"))
    assert not special.is_language(ids("<|transcribe|>"))
    assert special.is_timestamp(ids("<|0.00|>"))
    assert special.previous_id == ids("<|startofprev|>")
    tokens = processor.tokenizer(" a boat").input_ids
    assert special.prompt_length(tokens) == 4
    assert tokens[3] == special.no_timestamps_id


def test_a_foreign_tokenizer_is_a_user_error() -> None:
    class Foreign:
        def convert_tokens_to_ids(self, names):
            return [0] * len(names)

    with pytest.raises(UserError, match="layout is not Whisper's"):
        SpecialTokens.of(Foreign())


def test_the_loss_ignores_the_prompt_except_the_language() -> None:
    inputs, targets = inputs_and_targets(PLAIN, SPECIAL)
    assert inputs == PLAIN[:-1]
    assert targets == (12, IGNORED, IGNORED, 1, 2, 10)


def test_the_first_timestamp_is_a_target() -> None:
    _, targets = inputs_and_targets(TIMED, SPECIAL)
    assert targets == (12, IGNORED, 17, 1, 19, 19, 2, 23, 10)


def test_the_prompt_can_be_trained_on() -> None:
    inputs, targets = inputs_and_targets(PLAIN, SPECIAL, (30, 1), trains_prompt=True)
    assert inputs == (30, 1, *PLAIN[:-1])
    assert targets == (IGNORED, PLAIN[0], *PLAIN[1:])


def test_an_english_only_prompt_has_no_language() -> None:
    assert inputs_and_targets(ENGLISH_ONLY, SPECIAL)[1] == (IGNORED, 1, 2, 10)


def test_the_end_token_of_a_silent_window_is_a_target() -> None:
    assert inputs_and_targets((11, 12, 15, 16, 10), SPECIAL)[1] == (12, IGNORED, IGNORED, 10)


@pytest.mark.parametrize("tokens", [(), (12, 15, 16, 1, 10), (1, 2)])
def test_a_label_without_a_start_token_is_refused(tokens) -> None:
    with pytest.raises(ShardError, match="window w7 begins with"):
        refuse_incomplete(tokens, SPECIAL, "w7")


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tokens", [PLAIN, ENGLISH_ONLY])
def test_a_label_without_timestamps_is_unchanged(probability, tokens) -> None:
    assert with_timestamp_choice(tokens, SPECIAL, probability, "x") == tokens


def test_removing_timestamps_adds_the_no_timestamps_token() -> None:
    assert with_timestamp_choice(TIMED, SPECIAL, 0.0, "x") == PLAIN
    assert with_timestamp_choice((11, 17, 1, 23, 10), SPECIAL, 0.0, "x") == (11, 16, 1, 10)
    assert with_timestamp_choice(TIMED, SPECIAL, 1.0, "x") == TIMED


def test_draws_are_reproducible_and_have_their_probability() -> None:
    chosen = [with_timestamp_choice(TIMED, SPECIAL, 0.3, f"0 0 w{n}") for n in range(2000)]
    again = [with_timestamp_choice(TIMED, SPECIAL, 0.3, f"0 0 w{n}") for n in range(2000)]
    assert chosen == again
    assert chosen.count(TIMED) / 2000 == pytest.approx(0.3, abs=0.04)


# like SPECIAL, with 17 to start previous text and timestamps from 19
PROMPTED = SpecialTokens(
    end_id=10, start_id=11, translate_id=14, no_timestamps_id=18, previous_id=17
)
UNTIMED_LABEL = (11, 12, 15, 18, 1, 2, 10)
TIMED_LABEL = (11, 12, 15, 19, 3, 20, 20, 4, 21, 10)


def test_previous_text_is_an_input_without_loss() -> None:
    prompt = previous_prompt(TIMED_LABEL, UNTIMED_LABEL, PROMPTED, 100)
    assert prompt == (17, 3, 4)
    inputs, targets = inputs_and_targets(UNTIMED_LABEL, PROMPTED, prompt)
    assert inputs == (17, 3, 4, 11, 12, 15, 18, 1, 2)
    assert targets == (*(IGNORED,) * 3, 12, IGNORED, IGNORED, 1, 2, 10)


def test_previous_timestamps_are_kept_if_the_label_has_some() -> None:
    assert previous_prompt(TIMED_LABEL, TIMED_LABEL, PROMPTED, 100) == (17, 19, 3, 20, 20, 4, 21)


@pytest.mark.parametrize(
    ("max_tokens", "expected"), [(3, (17, 3, 4)), (2, (17, 4)), (1, ()), (0, ()), (-5, ())]
)
def test_the_end_of_previous_text_is_kept(max_tokens, expected) -> None:
    assert previous_prompt(TIMED_LABEL, UNTIMED_LABEL, PROMPTED, max_tokens) == expected


def test_previous_silence_gives_no_prompt() -> None:
    assert previous_prompt((11, 12, 15, 18, 10), UNTIMED_LABEL, PROMPTED, 100) == ()


def test_a_vocabulary_without_previous_text_is_a_user_error() -> None:
    with pytest.raises(UserError, match="previous_text_probability"):
        previous_prompt(PLAIN, PLAIN, SPECIAL, 100)

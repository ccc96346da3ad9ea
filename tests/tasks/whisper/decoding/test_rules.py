import pytest

from configs.schema import Label, Teacher
from storage.errors import UserError
from tasks.whisper.decoding.rules import decoding_rules


def rules(model, **settings):
    return decoding_rules(
        model.generation_config, model.config, Label(teacher=Teacher(path="unused"), **settings)
    )


def test_a_multilingual_prompt_has_language_and_task(make_whisper):
    model = make_whisper()
    assert rules(model).prompt == (61, 62, 65, 69)
    assert rules(model, language="de", task="translate").prompt == (61, 63, 64, 69)


def test_an_english_only_prompt_has_neither(make_whisper):
    assert rules(make_whisper(multilingual=False)).prompt == (61, 69)


def test_with_timestamps_the_prompt_lacks_no_timestamps(make_whisper):
    found = rules(make_whisper(), timestamps=True)
    assert found.prompt == (61, 62, 65)
    assert (found.timestamps.first_id, found.timestamps.max_initial_steps) == (70, 25)


def test_the_default_token_limit_is_half_of_the_positions(make_whisper):
    model = make_whisper()
    assert rules(model).max_new_tokens == 32
    assert rules(model, max_new_tokens=60).max_new_tokens == 60
    with pytest.raises(UserError, match=r"max_new_tokens is 61.*set it to at most 60"):
        rules(model, max_new_tokens=61)


def test_the_error_for_an_unknown_language_lists_the_known_ones(make_whisper):
    with pytest.raises(UserError, match=r"'fr'.*the languages de, en"):
        rules(make_whisper(), language="fr")


def test_an_english_only_model_refuses_other_languages(make_whisper):
    with pytest.raises(UserError, match="English-only"):
        rules(make_whisper(multilingual=False), language="de")


def test_other_generation_settings_are_refused(make_whisper):
    model = make_whisper()
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(eos_token_id=60)
    with pytest.raises(UserError, match="is not a Whisper's"):
        rules(model)

"""A draft changes the speed and nothing else."""

import copy
import logging

import pytest
import torch
from transformers import WhisperFeatureExtractor

from configs.schema import Label, Teacher
from storage.errors import UserError
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.decoding.speculation import NUM_DRAFTED, SpeculationTrial
from tasks.whisper.draft import require_compatible_draft, shares_encoder
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.scheduler import CPU_SCHEDULE, GPU_SCHEDULE

NUM_WINDOWS = 12


@pytest.fixture(scope="module")
def teacher(make_whisper):
    return make_whisper(3)


@pytest.fixture(scope="module")
def encoded(teacher, make_features):
    with torch.inference_mode():
        return teacher.model.encoder(make_features(NUM_WINDOWS)).last_hidden_state


def student_of(teacher, amount):
    """The teacher with perturbed weights: it agrees often, not always."""
    student = copy.deepcopy(teacher)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in student.model.decoder.layers.parameters():
            weight += amount * torch.randn_like(weight)
    return student


def rules_of(model, *, timestamps=False, max_new_tokens=25):
    settings = Label(
        teacher=Teacher(path="unused"), timestamps=timestamps, max_new_tokens=max_new_tokens
    )
    return decoding_rules(model.generation_config, model.config, settings)


@pytest.mark.parametrize("temperature", [0.0, 0.6])
@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("amount", [0.0, 0.02, 1.0])
def test_speculative_tokens_equal_plain_tokens(
    teacher, encoded, decode_encoded, amount, timestamps, temperature
):
    rules, draft = rules_of(teacher, timestamps=timestamps), student_of(teacher, amount)
    plain = decode_encoded(teacher, encoded, rules, 5, temperature=temperature)
    for num_slots, schedule in ((4, GPU_SCHEDULE), (NUM_WINDOWS, CPU_SCHEDULE)):
        found = decode_encoded(
            teacher,
            encoded,
            rules,
            num_slots,
            draft=draft,
            temperature=temperature,
            schedule=schedule,
        )
        assert [one.tokens for one in found] == [one.tokens for one in plain]
        assert [one.sum_logprob for one in found] == pytest.approx(
            [one.sum_logprob for one in plain], abs=1e-3
        )
        assert [one.no_speech_prob for one in found] == pytest.approx(
            [one.no_speech_prob for one in plain], abs=1e-4
        )


@pytest.mark.parametrize("max_new_tokens", range(1, 8))
def test_the_token_limit_may_fall_within_a_draft(teacher, encoded, decode_encoded, max_new_tokens):
    rules = rules_of(teacher, max_new_tokens=max_new_tokens)
    plain = decode_encoded(teacher, encoded, rules, 4)
    found = decode_encoded(teacher, encoded, rules, 4, draft=teacher)
    assert [one.tokens for one in found] == [one.tokens for one in plain]


def test_the_token_limit_may_be_the_last_position(teacher, encoded, decode_encoded):
    num_positions = teacher.config.max_target_positions
    rules = rules_of(teacher, max_new_tokens=num_positions - 4)
    plain = decode_encoded(teacher, encoded, rules, 4)
    assert max(len(one.tokens) for one in plain) == num_positions
    found = decode_encoded(teacher, encoded, rules, 4, draft=teacher)
    assert [one.tokens for one in found] == [one.tokens for one in plain]


def test_a_draft_that_agrees_saves_forward_passes(teacher, encoded, decode_encoded, monkeypatch):
    rules = rules_of(teacher)
    passes = []
    run = DecoderLayers.__call__

    def counting(layers, tokens, *others):
        passes.append(tokens.shape[1])
        return run(layers, tokens, *others)

    monkeypatch.setattr(DecoderLayers, "__call__", counting)
    decode_encoded(teacher, encoded, rules, NUM_WINDOWS)
    num_plain = passes.count(1)
    passes.clear()
    decode_encoded(teacher, encoded, rules, NUM_WINDOWS, draft=teacher)
    num_verified = passes.count(NUM_DRAFTED + 1)
    assert num_verified <= -(-num_plain // (NUM_DRAFTED + 1)) + 1


def test_a_draft_with_its_own_encoder(
    make_whisper, make_features, teacher, encoded, decode_encoded
):
    other = make_whisper(5)
    assert not shares_encoder(teacher, other)
    assert shares_encoder(teacher, student_of(teacher, 0.1))
    with torch.inference_mode():
        draft_encoded = other.model.encoder(make_features(NUM_WINDOWS)).last_hidden_state
    rules = rules_of(teacher)
    plain = decode_encoded(teacher, encoded, rules, 5)
    found = decode_encoded(teacher, encoded, rules, 5, draft=other, draft_encoded=draft_encoded)
    assert [one.tokens for one in found] == [one.tokens for one in plain]


def tried(took_s_with, gained_with, took_s_without):
    trial = SpeculationTrial()
    while not trial.is_over:
        if trial.speculates:
            trial.record(took_s_with, gained_with, speculated=True)
        else:
            trial.record(took_s_without, 1.0, speculated=False)
    return trial


def test_a_draft_that_does_not_pay_is_disabled_and_logged_once(caplog):
    with caplog.at_level(logging.INFO):
        trial = tried(0.030, 2.5, 0.010)
    assert not trial.speculates
    trial.record(1e-6, 5.0, speculated=True)
    assert not trial.speculates
    assert [record.getMessage() for record in caplog.records] == [
        "speculative decoding is off: a step that verifies 4 drafted tokens gains 2.50 tokens in"
        " 30.0 ms, a plain step takes 10.0 ms"
    ]


def test_a_draft_that_pays_stays_enabled():
    assert tried(0.020, 2.5, 0.010).speculates


def test_tokens_do_not_change_when_the_trial_ends_midway(
    teacher, encoded, decode_encoded, monkeypatch
):
    monkeypatch.setattr("tasks.whisper.decoding.speculation._WARM_UP_STEPS", 1)
    monkeypatch.setattr("tasks.whisper.decoding.speculation._TRIAL_STEPS", 4)
    rules = rules_of(teacher)
    plain = decode_encoded(teacher, encoded, rules, 4)
    for schedule in (CPU_SCHEDULE, GPU_SCHEDULE):
        trial = SpeculationTrial()
        found = decode_encoded(
            teacher,
            encoded,
            rules,
            4,
            draft=student_of(teacher, 0.02),
            trial=trial,
            schedule=schedule,
        )
        assert trial.is_over
        assert [one.tokens for one in found] == [one.tokens for one in plain]


def test_a_draft_with_other_features_or_tokens_is_refused(tiny_teacher, make_whisper):
    require_compatible_draft(tiny_teacher, tiny_teacher)
    longer = LoadedWhisper(
        model=tiny_teacher.model,
        feature_extractor=WhisperFeatureExtractor(chunk_length=3),
        tokenizer=tiny_teacher.tokenizer,
    )
    with pytest.raises(UserError, match="windows of 48000 samples, the teacher 32000"):
        require_compatible_draft(tiny_teacher, longer)
    model = copy.deepcopy(tiny_teacher.model)
    model.config.num_mel_bins = 128
    other = LoadedWhisper(
        model=model,
        feature_extractor=tiny_teacher.feature_extractor,
        tokenizer=tiny_teacher.tokenizer,
    )
    with pytest.raises(UserError, match="128 mel bands, the teacher 80"):
        require_compatible_draft(tiny_teacher, other)

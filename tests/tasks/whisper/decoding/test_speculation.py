"""A draft changes the speed and nothing else."""

import copy
import dataclasses

import pytest
import torch
from transformers import WhisperFeatureExtractor

from configs.schema import Label, Teacher
from storage.errors import UserError
from tasks.whisper.decoding.acceptance import LENGTHS, DraftCounts
from tasks.whisper.decoding.draft_length import DraftController
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.decoding.speculation import Drafter, draft_dtype
from tasks.whisper.draft import require_compatible_draft, shares_encoder
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.scheduler import CPU_SCHEDULE, GPU_SCHEDULE

NUM_WINDOWS = 12
NUM_DRAFTED = 4  # by default in `decode_encoded`


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
@pytest.mark.parametrize(
    ("amount", "num_drafted"), [(0.0, 4), (1.0, 4), *((0.02, length) for length in LENGTHS[1:])]
)
def test_speculative_tokens_equal_plain_tokens(
    teacher, encoded, decode_encoded, amount, timestamps, temperature, num_drafted
):
    rules, draft = rules_of(teacher, timestamps=timestamps), student_of(teacher, amount)
    plain = decode_encoded(teacher, encoded, rules, 5, temperature=temperature)
    for num_slots, schedule in (
        (1, CPU_SCHEDULE),
        (4, GPU_SCHEDULE),
        (16, CPU_SCHEDULE),
    ):
        found = decode_encoded(
            teacher,
            encoded,
            rules,
            num_slots,
            draft=draft,
            temperature=temperature,
            schedule=schedule,
            drafts=DraftController(num_drafted),
        )
        assert [one.tokens for one in found] == [one.tokens for one in plain]
        assert [one.sum_logprob for one in found] == pytest.approx(
            [one.sum_logprob for one in plain], abs=1e-3
        )
        assert [one.no_speech_prob for one in found] == pytest.approx(
            [one.no_speech_prob for one in plain], abs=1e-4
        )


@pytest.mark.parametrize("num_drafted", LENGTHS)
@pytest.mark.parametrize("max_new_tokens", range(1, 8))
def test_the_token_limit_may_fall_within_a_draft(
    teacher, encoded, decode_encoded, max_new_tokens, num_drafted
):
    rules = rules_of(teacher, max_new_tokens=max_new_tokens)
    plain = decode_encoded(teacher, encoded, rules, 4)
    drafts = DraftController(num_drafted)
    found = decode_encoded(teacher, encoded, rules, 4, draft=teacher, drafts=drafts)
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


@pytest.mark.parametrize("temperature", [0.0, 0.6])
@pytest.mark.parametrize("schedule", [CPU_SCHEDULE, GPU_SCHEDULE])
@pytest.mark.parametrize("num_slots", [1, 4, 16])
def test_tokens_are_those_of_the_teacher_while_lengths_are_tried(
    teacher, encoded, decode_encoded, num_slots, schedule, temperature
):
    """The trial mixes all lengths, ends midway, and is that of several numbers of rows."""
    rules = rules_of(teacher)
    plain = decode_encoded(teacher, encoded, rules, 4, temperature=temperature)
    drafts = DraftController()
    for _ in range(2):
        found = decode_encoded(
            teacher,
            encoded,
            rules,
            num_slots,
            draft=student_of(teacher, 0.02),
            temperature=temperature,
            drafts=drafts,
            schedule=schedule,
        )
        assert [one.tokens for one in found] == [one.tokens for one in plain]
    assert drafts.counts.num_rounds


def test_a_draft_that_is_the_teacher_is_always_accepted_also_after_plain_steps(
    teacher, encoded, decode_encoded
):
    """While lengths are tried, the draft's cache has every token."""
    tried = []

    class Watched(DraftController):
        def record_tallies(self, tallies):
            tried.append(tallies)
            super().record_tallies(tallies)

        def length(self, num_rows):
            return (0, 0, 2, 0, 8, 4)[len(tried) % 6]

        def measures(self, num_rows):
            return True

    rules = rules_of(teacher)
    rules = dataclasses.replace(rules, suppressed_ids=(*rules.suppressed_ids, rules.end_id))
    decode_encoded(
        teacher, encoded, rules, NUM_WINDOWS, draft=teacher, drafts=(drafts := Watched())
    )
    # all windows reach the limit at the same step, which alone cuts drafts off
    assert drafts.counts.num_accepted >= drafts.counts.num_drafted - 8 * NUM_WINDOWS
    assert [one for one in tried[:-1] if one[0] != one[1]] == []


def test_windows_that_start_after_drafting_was_given_up_cost_the_draft_nothing(
    teacher, encoded, decode_encoded, monkeypatch
):
    draft, prefilled = student_of(teacher, 0.02), []
    start = Drafter.prefill
    monkeypatch.setattr(
        Drafter, "prefill", lambda *given: (prefilled.append(len(given[2])), start(*given))[1]
    )
    rules = rules_of(teacher)
    plain = decode_encoded(teacher, encoded, rules, 4)
    found = decode_encoded(teacher, encoded, rules, 4, draft=draft, drafts=DraftController(0))
    assert [one.tokens for one in found] == [one.tokens for one in plain]
    assert prefilled == []
    decode_encoded(teacher, encoded, rules, 4, draft=draft)
    assert sum(prefilled) == NUM_WINDOWS


def test_counts_are_those_of_the_tokens(teacher, encoded, decode_encoded):
    rules, drafts = rules_of(teacher), DraftController(4)
    found = decode_encoded(
        teacher, encoded, rules, 5, draft=student_of(teacher, 0.02), drafts=drafts
    )
    counts = drafts.counts
    # the first token of a window is that of its prompt
    num_tokens = sum(len(one.tokens) - len(rules.prompt) - 1 for one in found)
    assert counts.num_rounds + counts.num_accepted == num_tokens
    assert counts.num_drafted == 4 * counts.num_rounds
    assert counts.drafted_per_round == 4.0
    assert counts.tokens_per_round == pytest.approx(num_tokens / counts.num_rounds)
    assert 0 < counts.acceptance_percent < 100
    assert counts - counts == DraftCounts()


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


def test_a_draft_computes_in_bfloat16_where_the_processor_does(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert draft_dtype(torch.float32, cpu) == torch.bfloat16
    assert draft_dtype(torch.float16, torch.device("cuda")) == torch.float16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert draft_dtype(torch.float32, cpu) == torch.float32


def test_a_draft_in_lower_precision_changes_no_token(teacher, encoded, decode_encoded):
    rules = rules_of(teacher)
    plain = decode_encoded(teacher, encoded, rules, 5)
    found = decode_encoded(teacher, encoded, rules, 5, draft=teacher, draft_dtype=torch.bfloat16)
    assert [one.tokens for one in found] == [one.tokens for one in plain]
    assert teacher.dtype == torch.float32

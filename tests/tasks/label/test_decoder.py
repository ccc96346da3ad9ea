import copy

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from configs.schema import Label, Teacher
from tasks.demo.teacher_model import TEACHER_FOLDER
from tasks.label.decoder import decode
from tasks.label.rules import decoding_rules

MAX_NEW_TOKENS = 40


def rules_of(model, *, timestamps=False, max_new_tokens=MAX_NEW_TOKENS):
    settings = Label(
        teacher=Teacher(path="unused"), timestamps=timestamps, max_new_tokens=max_new_tokens
    )
    return decoding_rules(model.generation_config, model.config, settings)


def generated(model, features, rules):
    """What transformers' own greedy search gives, up to and with the end token."""
    multilingual = model.generation_config.is_multilingual
    sequences = model.generate(
        features,
        do_sample=False,
        num_beams=1,
        max_new_tokens=rules.max_new_tokens,
        max_length=None,
        return_timestamps=rules.timestamps is not None,
        force_unique_generate_call=True,  # else neither the prompt nor the end is returned
        return_dict_in_generate=True,
        **({"language": "en", "task": "transcribe"} if multilingual else {}),
    ).sequences.tolist()
    answers = []
    for sequence in sequences:
        answer = sequence[len(rules.prompt) :]
        if rules.end_id in answer:
            answer = answer[: answer.index(rules.end_id) + 1]
        answers.append((*sequence[: len(rules.prompt)], *answer))
    return answers


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("multilingual", [False, True])
@pytest.mark.parametrize("seed", [0, 3])
def test_tokens_are_those_of_generate(make_whisper, make_features, seed, multilingual, timestamps):
    model = make_whisper(seed, multilingual=multilingual)
    features, rules = make_features(9), rules_of(model, timestamps=timestamps)
    tokens = [one.tokens for one in decode(model, features, rules)]
    assert tokens == generated(model, features, rules)
    lengths = {len(one) for one in tokens}
    assert len(lengths) > 3  # so that windows did leave the batch while others went on


@pytest.mark.skipif(
    not (TEACHER_FOLDER / "model.safetensors").is_file(), reason="the demo teacher is not made yet"
)
@pytest.mark.parametrize("timestamps", [False, True])
def test_tokens_of_the_demo_teacher_are_those_of_generate(timestamps):
    from tasks.demo.training_set import no_speech_window, speech_window

    model = WhisperForConditionalGeneration.from_pretrained(TEACHER_FOLDER, dtype=torch.float32)
    processor = WhisperProcessor.from_pretrained(TEACHER_FOLDER)
    random = np.random.default_rng(0)
    windows = [speech_window(f"unheard{place}", random) for place in range(7)]
    waveforms = [window.samples for window in [*windows, no_speech_window(random)]]
    features = processor(waveforms, sampling_rate=16_000, return_tensors="pt").input_features
    rules = rules_of(model, timestamps=timestamps, max_new_tokens=100)
    tokens = [one.tokens for one in decode(model.eval(), features, rules)]
    assert tokens == generated(model, features, rules)


def test_a_window_does_not_depend_on_its_batch(make_whisper, make_features):
    model = make_whisper()
    features, rules = make_features(6), rules_of(model)
    together = decode(model, features, rules)
    alone = [decode(model, one[None], rules)[0] for one in features]
    assert [one.tokens for one in together] == [one.tokens for one in alone]
    assert [one.avg_logprob for one in together] == pytest.approx(
        [one.avg_logprob for one in alone], abs=1e-4
    )


def test_the_sequence_holds_prompt_and_end(make_whisper, make_features):
    """Defect 13: `generate` returns neither, and labels stored from it lose the start."""
    model = make_whisper()
    rules = rules_of(model)
    decoded = decode(model, make_features(9), rules)
    assert all(one.tokens[:4] == rules.prompt for one in decoded)
    ended = [one.tokens for one in decoded if len(one.tokens) < len(rules.prompt) + MAX_NEW_TOKENS]
    assert ended
    assert all(tokens[-1] == rules.end_id for tokens in ended)


def test_an_answer_that_reaches_the_limit_has_no_end(make_whisper, make_features):
    model = make_whisper()
    rules = rules_of(model, max_new_tokens=1)
    for one in decode(model, make_features(3), rules):
        assert len(one.tokens) == len(rules.prompt) + 1
        assert one.tokens[-1] != rules.end_id


@pytest.mark.parametrize("timestamps", [False, True])
def test_probabilities_are_those_of_one_pass_over_the_whole_sequence(
    make_whisper, make_features, timestamps
):
    """Whisper's definitions, without a cache and without a batch."""
    model = make_whisper(3)
    features, rules = make_features(9), rules_of(model, timestamps=timestamps)
    for one, window in zip(decode(model, features, rules), features, strict=True):
        with torch.inference_mode():
            logits = model(window[None], decoder_input_ids=torch.tensor([one.tokens])).logits[0]
        assert one.no_speech_prob == pytest.approx(
            logits[0].softmax(-1)[rules.no_speech_id].item(), rel=1e-4
        )
        if timestamps:
            continue
        answer = one.tokens[len(rules.prompt) :]
        total = 0.0
        for place, token in enumerate(answer):
            step = logits[len(rules.prompt) + place - 1].clone()
            step[list(rules.suppressed_ids)] = -torch.inf
            if place == 0:
                step[list(rules.suppressed_first_ids)] = -torch.inf
            total += step.log_softmax(-1)[token].item()
        num_before_end = len(answer) - (answer[-1] == rules.end_id)
        assert one.avg_logprob == pytest.approx(total / (num_before_end + 1), abs=1e-4)


def test_the_encoder_runs_once_and_cross_attention_is_projected_once(make_whisper, make_features):
    model = copy.deepcopy(make_whisper())
    calls = {"encoder": 0, "keys": 0}

    def count(name):
        def hook(*_):
            calls[name] += 1

        return hook

    model.model.encoder.register_forward_hook(count("encoder"))
    model.model.decoder.layers[0].encoder_attn.k_proj.register_forward_hook(count("keys"))
    decode(model, make_features(4), rules_of(model))
    assert calls == {"encoder": 1, "keys": 1}

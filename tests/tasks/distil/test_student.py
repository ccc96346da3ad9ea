"""The student: its layers, its output before training, saving and loading."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration, WhisperProcessor, pipeline

from storage.errors import UserError
from tasks.distil.student import make_student, refuse_unfit, save_student

TEACHER = Path(__file__).parents[3] / "tasks/demo/teacher"


def test_every_kept_layer_equals_the_teachers(make_teacher) -> None:
    teacher = make_teacher(decoder_layers=6)
    student = make_student(teacher, 4)
    for mine, theirs in enumerate((0, 1, 3, 5)):
        copied = student.model.decoder.layers[mine].state_dict()
        for name, value in teacher.model.decoder.layers[theirs].state_dict().items():
            assert torch.equal(copied[name], value)
    assert student.config.decoder_layers == 4
    assert student.config.encoder_layers == teacher.config.encoder_layers
    assert student.proj_out.weight is student.model.decoder.embed_tokens.weight
    assert [layer.self_attn.layer_idx for layer in student.model.decoder.layers] == [0, 1, 2, 3]


def test_a_student_can_have_fewer_encoder_layers(make_teacher) -> None:
    teacher = make_teacher()
    student = make_student(teacher, (1, 3), 1)
    assert (student.config.encoder_layers, student.config.decoder_layers) == (1, 2)
    for mine, theirs in (
        (student.model.encoder.layers[0], teacher.model.encoder.layers[0]),
        (student.model.decoder.layers[0], teacher.model.decoder.layers[1]),
    ):
        assert all(map(torch.equal, mine.parameters(), theirs.parameters()))


def test_a_student_goes_on_only_where_it_can_learn(make_teacher) -> None:
    teacher = make_teacher()
    refuse_unfit(make_student(teacher, 2), teacher, shares_encoder=True)
    other = make_student(make_teacher(seed=1), 2)
    refuse_unfit(other, teacher, shares_encoder=False)
    with pytest.raises(UserError, match=r"another encoder .*freeze_encoder: false"):
        refuse_unfit(other, teacher, shares_encoder=True)
    other.config.vocab_size += 1
    with pytest.raises(UserError, match=r"vocab_size .*another kind of Whisper"):
        refuse_unfit(other, teacher, shares_encoder=False)


def test_with_all_layers_the_student_equals_the_teacher(make_teacher) -> None:
    teacher = make_teacher()
    student = make_student(teacher, 4)
    features, tokens = torch.randn(2, 80, 100), torch.randint(0, 400, (2, 7))
    with torch.no_grad():
        expected = teacher(features, decoder_input_ids=tokens).logits
        found = student(features, decoder_input_ids=tokens).logits
    assert torch.equal(found, expected)


def test_a_student_shares_no_tensors_with_its_teacher(make_teacher) -> None:
    teacher = make_teacher()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = make_student(teacher, 2)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    student.generation_config.max_length = 3
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert teacher.generation_config.max_length == 24


def test_alignment_heads_follow_their_layers(make_teacher) -> None:
    teacher = make_teacher()
    teacher.generation_config.alignment_heads = [[1, 0], [3, 1]]
    assert make_student(teacher, 2).generation_config.alignment_heads == [[1, 1]]
    assert make_student(teacher, 4).generation_config.alignment_heads == [[1, 0], [3, 1]]


def test_without_a_surviving_head_the_later_half_aligns(make_teacher) -> None:
    teacher = make_teacher()
    assert make_student(teacher, 2).generation_config.alignment_heads == [[1, 0], [1, 1]]
    del teacher.generation_config.alignment_heads
    assert not hasattr(make_student(teacher, 2).generation_config, "alignment_heads")


def test_a_teacher_without_generation_settings_is_a_user_error(make_teacher) -> None:
    teacher = make_teacher()
    teacher.generation_config = None
    with pytest.raises(UserError, match=r"generation_config\.json"):
        make_student(teacher, 2)


@pytest.mark.parametrize("return_timestamps", [False, True, "word"])
def test_a_saved_student_transcribes(make_teacher, processor, tmp_path, return_timestamps) -> None:
    teacher = make_teacher()
    if TEACHER.joinpath("model.safetensors").exists() and return_timestamps != "word":
        teacher = WhisperForConditionalGeneration.from_pretrained(TEACHER)
        processor = WhisperProcessor.from_pretrained(TEACHER)
    save_student(make_student(teacher, 2), processor, tmp_path / "student")
    transcribe = pipeline("automatic-speech-recognition", model=str(tmp_path / "student"))
    noise = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
    result = transcribe(
        {"raw": noise, "sampling_rate": 16_000}, return_timestamps=return_timestamps
    )
    assert isinstance(result["text"], str)
    assert ("chunks" in result) == bool(return_timestamps)


@pytest.mark.parametrize("decoder_layers", [1, 2, 4])
def test_a_saved_student_loads_whole(make_teacher, processor, tmp_path, decoder_layers) -> None:
    student = make_student(make_teacher(), decoder_layers)
    save_student(student, processor, tmp_path)
    loaded, info = WhisperForConditionalGeneration.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(info.values()), info
    assert not list(tmp_path.glob("*.bin"))
    for name, value in student.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    saved = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors"} <= saved
    assert {"preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"} <= saved


@pytest.mark.parametrize(
    ("width", "num_heads", "num_layers", "vocab_size", "encoder_layers", "millions"),
    [
        (1280, 20, 32, 51865, None, 756),  # large-v2
        (1280, 20, 32, 51865, 16, 441),  # table 12 of the paper
        (1024, 16, 24, 51864, None, 394),  # medium.en
    ],
)
def test_students_have_the_sizes_of_the_paper(
    make_teacher, width, num_heads, num_layers, vocab_size, encoder_layers, millions
) -> None:
    config = WhisperConfig(
        vocab_size=vocab_size,
        d_model=width,
        encoder_layers=num_layers,
        decoder_layers=num_layers,
        encoder_attention_heads=num_heads,
        decoder_attention_heads=num_heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
    )
    with torch.device("meta"):
        teacher = WhisperForConditionalGeneration(config)
    teacher.generation_config = make_teacher().generation_config
    student = make_student(teacher, 2, encoder_layers)
    assert round(sum(one.numel() for one in student.parameters()) / 1e6) == millions

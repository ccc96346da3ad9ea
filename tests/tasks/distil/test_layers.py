"""Which layers a student starts with."""

import pytest
import torch

from storage.errors import UserError
from tasks.distil.encode import TeacherEncoder
from tasks.distil.layers import closest_layers, layers_of, spaced_layers


@pytest.mark.parametrize(
    ("num_teacher", "num_student", "expected"),
    [
        (32, 2, (0, 31)),
        (24, 2, (0, 23)),
        (6, 1, (0,)),
        (6, 4, (0, 1, 3, 5)),
        (6, 3, (0, 2, 5)),
        (4, 4, (0, 1, 2, 3)),
        (32, 4, (0, 10, 20, 31)),
    ],
)
def test_layers_are_maximally_spaced(num_teacher, num_student, expected) -> None:
    assert spaced_layers(num_teacher, num_student) == expected


@pytest.mark.parametrize("num_student", [0, 7])
def test_more_layers_than_the_teacher_has_is_a_user_error(num_student) -> None:
    with pytest.raises(UserError, match=f"decoder_layers is {num_student}, .*has 6"):
        layers_of(num_student, 6, "decoder_layers")


def test_layers_can_be_named() -> None:
    assert layers_of((1, 4), 6, "decoder_layers") == (1, 4)
    assert layers_of(None, 3, "encoder_layers") == (0, 1, 2)
    with pytest.raises(UserError, match=r"encoder_layers names layer 6, .* has 6 .*0 to 5"):
        layers_of((0, 6), 6, "encoder_layers")


def silence(layer) -> None:
    """Make a layer add nothing."""
    with torch.no_grad():
        for linear in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            linear.weight.zero_()
            linear.bias.zero_()


@pytest.mark.parametrize("max_subsets", [500, 1])
@pytest.mark.parametrize(
    ("num_student", "silent", "expected"),
    [
        (4, (1, 4), (0, 2, 3, 5)),
        (4, (1, 4, 5), (0, 2, 3, 5)),  # the last is kept, though it does nothing
        (2, (0, 5), (0, 5)),
        (1, (0, 1, 2, 4, 5), (3,)),
    ],
)
def test_of_the_layers_between_those_that_do_nothing_are_left_out(
    make_teacher, make_example, preparer, special, monkeypatch, max_subsets, num_student, silent,
    expected,
) -> None:  # fmt: skip
    monkeypatch.setattr("tasks.distil.layers._MAX_SUBSETS", max_subsets)
    teacher = make_teacher(decoder_layers=6)
    for index in silent:
        silence(teacher.model.decoder.layers[index])
    windows = [preparer(make_example(index)) for index in range(6)]
    encode = TeacherEncoder(teacher, torch.device("cpu"), torch.float32)
    found = closest_layers(teacher, encode, windows, num_student, special.end_id)
    assert found == expected
    assert len(teacher.model.decoder.layers) == 6

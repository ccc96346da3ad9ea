"""The gradient of a batch, whatever the padding, the micro-batches and the slices of the logits."""

import pytest
import torch

from tasks.distil.encode import TeacherEncoder
from tasks.distil.student import make_student
from tasks.distil.update import step
from tasks.distil.update.pair import make_pair
from tasks.distil.update.step import add_gradients, by_length, mean_loss


def _gradients(pair, rows, micro_batch_size):
    pair.student.zero_grad()
    mean = add_gradients(pair, rows, micro_batch_size)
    return mean, {
        name: value.grad.clone()
        for name, value in pair.student.named_parameters()
        if value.grad is not None
    }


@pytest.mark.parametrize("freeze_encoder", [True, False])
def test_neither_padding_nor_the_micro_batch_changes_the_gradient(
    make_teacher, make_example, preparer, settings, special, freeze_encoder
) -> None:
    teacher = make_teacher()
    pair = make_pair(
        teacher,
        make_student(teacher, 2),
        TeacherEncoder(teacher, torch.device("cpu"), torch.float32),
        settings.model_copy(update={"freeze_encoder": freeze_encoder}),
        special.end_id,
    )
    texts = ["a", "the boat was very small", "mister", "we lost two horses and a letter"]
    rows = [preparer(make_example(index, text=text)) for index, text in enumerate(texts)]
    whole, expected = _gradients(pair, rows, 4)
    for micro_batch_size in (1, 2, 3):
        mean, found = _gradients(pair, rows, micro_batch_size)
        assert mean.loss == pytest.approx(whole.loss, rel=1e-6)
        assert mean.loss == pytest.approx(0.8 * mean.kl + mean.ce, rel=1e-9)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6), name
    is_trained = any(name.startswith("model.encoder") for name in expected)
    assert is_trained == (not freeze_encoder)


@pytest.mark.parametrize("changed", [{}, {"freeze_encoder": False, "hidden_state_weight": 0.5}])
def test_slices_of_the_logits_change_rounding_alone(
    make_teacher, make_example, preparer, settings, special, monkeypatch, changed
) -> None:
    teacher = make_teacher()
    settings = settings.model_copy(update=changed)
    encode = TeacherEncoder(teacher, torch.device("cpu"), torch.float32)
    pair = make_pair(teacher, make_student(teacher, 2), encode, settings, special.end_id)
    rows = [preparer(make_example(index)) for index in range(4)]
    whole, expected = _gradients(pair, rows, 4)
    monkeypatch.setattr(step, "_MAX_LOGITS", 3 * teacher.config.vocab_size)
    sliced, found = _gradients(pair, rows, 4)
    for name in ("loss", "kl", "ce", "mse"):
        assert getattr(sliced, name) == pytest.approx(getattr(whole, name), rel=1e-6)
    assert (sliced.num_positions, sliced.num_padded) == (whole.num_positions, whole.num_padded)
    assert mean_loss(pair, rows, 4).loss == pytest.approx(whole.loss, rel=1e-6)
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("max_rows", [4, 16])
def test_parts_of_a_batch_have_little_padding(make_example, preparer, max_rows) -> None:
    texts = ["a", "the boat was very small", "mister", "we lost two horses and a letter"]
    rows = [preparer(make_example(index, text=texts[index % 4])) for index in range(40)]
    parts = list(by_length(rows, max_rows))
    assert sorted(map(id, rows)) == sorted(id(row) for part in parts for row in part)
    for part in parts:
        lengths = [len(row.inputs) for row in part]
        assert len(part) <= max_rows
        assert sum(lengths) >= 0.95 * max(lengths) * len(lengths)
    assert len(parts) <= 4 * -(-10 // max_rows)

"""The loss against its definition, written out in numpy."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from configs.schema import Distil
from tasks.distil.layers import supervising_layers
from tasks.distil.update.loss import hidden_state_sum, loss_sums
from tasks.whisper.tokens import IGNORED


def _softmax(logits):
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def _by_definition(student, teacher, targets, temperature):
    kl = ce = 0.0
    for row in range(targets.shape[0]):
        p = _softmax(teacher[row] / temperature)
        q = _softmax(student[row] / temperature)
        kl += temperature**2 * sum(p[v] * (np.log(p[v]) - np.log(q[v])) for v in range(len(p)))
        ce -= np.log(_softmax(student[row])[targets[row]])
    return kl, ce


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_the_loss_equals_its_definition(temperature) -> None:
    random = np.random.default_rng(1)
    student, teacher = random.normal(0, 3, (2, 8, 7))
    targets = np.array([2, 0, 6, 5, 1, 3, 3, 3])
    sums = loss_sums(
        *map(torch.from_numpy, (student, teacher, targets)), Distil(temperature=temperature)
    )
    kl, ce = _by_definition(student, teacher, targets, temperature)
    assert sums.kl.item() == pytest.approx(kl, rel=1e-5)
    assert sums.ce.item() == pytest.approx(ce, rel=1e-5)
    assert sums.kl.dtype == sums.ce.dtype == torch.float32


def test_kl_of_equal_logits_is_zero_and_the_teacher_gets_no_gradient() -> None:
    logits = torch.randn(4, 6, requires_grad=True)
    teacher = logits.detach().clone().requires_grad_()
    sums = loss_sums(logits, teacher, torch.tensor([0, 1, 2, 3]), Distil())
    assert sums.kl.item() == pytest.approx(0.0, abs=1e-6)
    sums.weighted.backward()
    assert teacher.grad is None
    assert logits.grad is not None


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("with_teacher", [True, False])
def test_gradients_are_those_of_the_definition(with_teacher, temperature) -> None:
    torch.manual_seed(0)
    student = torch.randn(9, 50_000, requires_grad=True)
    teacher = torch.randn(9, 50_000) if with_teacher else None
    targets = torch.randint(0, 50_000, (9,))
    plain = student.detach().clone().requires_grad_()
    before = [one.detach().clone() for one in (student, teacher) if one is not None]

    settings = Distil(kl_weight=0.8, pseudo_label_weight=0.5, temperature=temperature)
    sums = loss_sums(student, teacher, targets, settings)
    (3 * sums.weighted).backward()
    loss = 0.5 * functional.cross_entropy(plain, targets, reduction="sum")
    if teacher is not None:
        of_student, of_teacher = (
            functional.log_softmax(one / temperature, -1) for one in (plain, teacher)
        )
        kl = functional.kl_div(of_student, of_teacher, reduction="sum", log_target=True)
        loss = loss + 0.8 * temperature**2 * kl
    (3 * loss).backward()
    assert sums.weighted.item() == pytest.approx(loss.item(), rel=1e-5)

    torch.testing.assert_close(student.grad, plain.grad, rtol=1e-4, atol=1e-8)
    after = [one for one in (student, teacher) if one is not None]
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_half_precision_is_summed_in_float32() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 64, 50).bfloat16()
    targets = torch.randint(0, 50, (64,))
    assert loss_sums(student, teacher, targets, Distil()) == loss_sums(
        student.float(), teacher.float(), targets, Distil()
    )


def test_without_a_teacher_the_loss_is_the_cross_entropy() -> None:
    logits, targets = torch.randn(3, 7), torch.tensor([1, 0, 6])
    alone = loss_sums(logits, None, targets, Distil())
    both = loss_sums(logits, torch.randn(3, 7), targets, Distil())
    assert (alone.kl.item(), alone.ce) == (0.0, both.ce)


@pytest.mark.parametrize(
    ("num_student", "num_teacher", "layers"),
    [
        (3, 12, (3, 7, 11)),  # the example of the published script
        (2, 32, (15, 31)),
        (1, 4, (3,)),
        (4, 4, (0, 1, 2, 3)),
        (4, 6, (0, 1, 3, 5)),
        (4, 2, (0, 0, 0, 1)),
    ],
)
def test_layers_stand_for_equal_parts_of_the_teacher(num_student, num_teacher, layers) -> None:
    assert supervising_layers(num_student, num_teacher) == layers


def _distance_by_definition(student, teacher, pairs, targets):
    """The embeddings and each pair of layers, position by position."""
    total = 0.0
    for of_student, of_teacher in [(0, 0), *((s + 1, t + 1) for s, t in pairs)]:
        for row in range(targets.shape[0]):
            for position, target in enumerate(targets[row]):
                if target != IGNORED:
                    one = student[of_student][row, position] - teacher[of_teacher][row, position]
                    total += sum(one * one) / len(one)
    return total


def test_the_distance_of_hidden_states_equals_its_definition() -> None:
    random = np.random.default_rng(2)
    student, teacher = random.normal(0, 2, (3, 2, 4, 5)), random.normal(0, 2, (5, 2, 4, 5))
    targets = np.array([[IGNORED, 2, 0, 6], [5, IGNORED, IGNORED, 1]])
    pairs = [(0, 1), (1, 3)]
    states = [[torch.from_numpy(one).bfloat16() for one in all_] for all_ in (student, teacher)]
    rounded = [[one.double().numpy() for one in all_] for all_ in states]
    found = hidden_state_sum(*states, pairs, torch.from_numpy(targets) != IGNORED)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(_distance_by_definition(*rounded, pairs, targets))


def test_hidden_states_of_padding_and_of_the_teacher_get_no_gradient() -> None:
    student = [torch.randn(1, 3, 4, requires_grad=True) for _ in range(2)]
    teacher = [torch.randn(1, 3, 4, requires_grad=True) for _ in range(2)]
    is_target = torch.tensor([[True, False, True]])
    hidden_state_sum(student, teacher, [(0, 0)], is_target).backward()
    assert [one.grad for one in teacher] == [None, None]
    for one in student:
        assert one.grad is not None
        assert (one.grad != 0).any(dim=-1).tolist() == is_target.tolist()

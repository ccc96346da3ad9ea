"""The loss against its definition, written out in numpy."""

import numpy as np
import pytest
import torch

from tasks.distil.loss import loss_sums
from tasks.whisper.tokens import IGNORED


def _softmax(logits):
    exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def _by_definition(student, teacher, targets, temperature):
    kl = ce = 0.0
    for row in range(targets.shape[0]):
        for position, target in enumerate(targets[row]):
            if target == IGNORED:
                continue
            p = _softmax(teacher[row, position] / temperature)
            q = _softmax(student[row, position] / temperature)
            kl += temperature**2 * sum(p[v] * (np.log(p[v]) - np.log(q[v])) for v in range(len(p)))
            ce -= np.log(_softmax(student[row, position])[target])
    return kl, ce


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_the_loss_equals_its_definition(temperature) -> None:
    random = np.random.default_rng(1)
    student, teacher = random.normal(0, 3, (2, 3, 4, 7))
    targets = np.array([[IGNORED, 2, 0, 6], [5, IGNORED, IGNORED, 1], [3, 3, 3, IGNORED]])
    sums = loss_sums(*map(torch.from_numpy, (student, teacher, targets)), temperature)
    kl, ce = _by_definition(student, teacher, targets, temperature)
    assert sums.kl.item() == pytest.approx(kl, rel=1e-5)
    assert sums.ce.item() == pytest.approx(ce, rel=1e-5)
    assert sums.num_tokens == 8
    assert sums.kl.dtype == sums.ce.dtype == torch.float32


def test_ignored_positions_change_nothing() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 2, 3, 5)
    targets = torch.tensor([[1, 2, IGNORED], [IGNORED, 4, IGNORED]])
    noisy = student + 100 * (targets == IGNORED)[..., None]
    noisy[0, 2] = torch.nan
    assert loss_sums(noisy, teacher, targets, 2.0) == loss_sums(student, teacher, targets, 2.0)


def test_kl_of_equal_logits_is_zero_and_the_teacher_gets_no_gradient() -> None:
    logits = torch.randn(4, 6, requires_grad=True)
    teacher = logits.detach().clone().requires_grad_()
    sums = loss_sums(logits, teacher, torch.tensor([0, 1, 2, 3]), 2.0)
    assert sums.kl.item() == pytest.approx(0.0, abs=1e-6)
    (sums.kl + sums.ce).backward()
    assert teacher.grad is None
    assert logits.grad is not None


def test_half_precision_is_summed_in_float32() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 64, 50).bfloat16()
    targets = torch.randint(0, 50, (64,))
    assert loss_sums(student, teacher, targets, 2.0) == loss_sums(
        student.float(), teacher.float(), targets, 2.0
    )


def test_without_a_teacher_the_loss_is_the_cross_entropy() -> None:
    logits, targets = torch.randn(2, 3, 7), torch.tensor([[1, 2, IGNORED], [0, 6, 3]])
    alone = loss_sums(logits, None, targets, 2.0)
    both = loss_sums(logits, torch.randn(2, 3, 7), targets, 2.0)
    assert (alone.kl.item(), alone.ce, alone.num_tokens) == (0.0, both.ce, both.num_tokens)

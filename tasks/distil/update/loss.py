"""The loss: KL divergence from the teacher, cross-entropy on the pseudo-labels, hidden states.

The Distil-Whisper paper (arXiv 2311.00430, section 4.1) writes it as 0.8 KL + 1.0 PL, where PL is
the cross-entropy on the pseudo-labels. The published training script computes the reverse,
0.8 cross-entropy + 1.0 KL, with the KL at temperature 2 scaled by its square. Both are settings;
the default is the paper's, with the script's square, which keeps the gradient of the KL term of
the same size at every temperature (Hinton et al., arXiv 1503.02531, section 2).

The third term is the distance of hidden states, which Table 21 of the paper ablates and the
published Flax script (training/flax/run_distillation.py) has; by default its weight is 0, as there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch.nn import functional

_MAX_CACHED: Final = 2**19
"""Logits at a time on the CPU: 2 MB in float32."""


class LossSums(NamedTuple):
    """Losses summed over target tokens; divide by the number of tokens of the whole batch.

    `kl` and `ce` are float32 scalars in nats, `kl` times temperature squared.
    """

    kl: torch.Tensor
    ce: torch.Tensor
    num_tokens: int


def loss_sums(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor | None,
    targets: torch.Tensor,
    temperature: float,
) -> LossSums:
    """Both parts of the loss, summed over target tokens, with gradients for the student alone.

    Logits (tokens, vocabulary) in any floating dtype, targets (tokens,) int64. With p the teacher's
    and q the student's softmax of logits / temperature, a token adds T² Σ_v p_v (log p_v - log q_v)
    to `kl` and minus the student's log-probability of the target, at temperature 1, to `ce`.
    Without teacher logits `kl` is 0.
    """
    apply: Callable[..., tuple[torch.Tensor, torch.Tensor]] = _Losses.apply  # which has no types
    kl, ce = apply(student_logits, teacher_logits, targets, temperature)
    return LossSums(kl=kl, ce=ce, num_tokens=len(targets))


class _Losses(torch.autograd.Function):
    """Both sums, and their gradients from formulas, a few tokens at a time.

    The gradient of a token's logits is softmax - one-hot for `ce` and T (q - p) for `kl`. The
    tensors of a few tokens stay in the processor's cache, and no other tensors are as large as the
    logits: torch's own functions take two to three times as long on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        student: torch.Tensor,
        teacher: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sums = torch.zeros(2, device=student.device)
        normalisers: list[tuple[torch.Tensor, ...]] = []
        for rows in _parts(student):
            logits = student[rows].float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            sums[1] += (normaliser - logits.gather(-1, targets[rows, None])).sum()
            of_teacher = of_student = normaliser
            if teacher is not None:
                expected = teacher[rows].float() / temperature
                found = logits / temperature
                of_teacher = expected.logsumexp(-1, keepdim=True)
                of_student = found.logsumexp(-1, keepdim=True)
                probability = (expected - of_teacher).exp_()
                distance = probability.mul_(expected.sub_(found)).sum(-1, keepdim=True)
                sums[0] += (distance - of_teacher + of_student).sum()
            normalisers.append((normaliser, of_teacher, of_student))
        ctx.save_for_backward(student, teacher, targets)
        ctx.normalisers, ctx.temperature = normalisers, temperature
        return sums[0] * temperature**2, sums[1]

    @staticmethod
    def backward(
        ctx: Any, of_kl: torch.Tensor, of_ce: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, None]:
        student, teacher, targets = ctx.saved_tensors
        gradient = torch.empty_like(student)
        for rows, normalisers in zip(_parts(student), ctx.normalisers, strict=True):
            normaliser, of_teacher, of_student = normalisers
            logits = student[rows].float()
            part = (logits - normaliser).exp_()
            part.scatter_add_(-1, targets[rows, None], -torch.ones_like(normaliser))
            part *= of_ce
            if teacher is not None:
                found = (logits / ctx.temperature).sub_(of_student).exp_()
                expected = (teacher[rows].float() / ctx.temperature).sub_(of_teacher).exp_()
                part += found.sub_(expected).mul_(of_kl * ctx.temperature)
            gradient[rows] = part
        return gradient, None, None, None


def _parts(logits: torch.Tensor) -> Iterator[slice]:
    """Successive tokens: on the CPU so few that their logits in float32 stay in the cache."""
    num_tokens, vocabulary = logits.shape
    size = num_tokens if logits.is_cuda else max(1, _MAX_CACHED // vocabulary)
    for start in range(0, num_tokens, max(1, size)):
        yield slice(start, start + size)


def hidden_state_sum(
    student: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor],
    pairs: Iterable[tuple[int, int]],
    is_target: torch.Tensor,
) -> torch.Tensor:
    """The squared distance of the decoders' hidden states, summed over target tokens: float32.

    Hidden states (batch, tokens, width) in any floating dtype are as `transformers` returns them:
    the embeddings, then the output of each layer, the last one after the final layer norm. `pairs`
    are layers of student and teacher from 0, as `supervising_layers` gives them. With s and t the
    states of a pair, or the embeddings, a token adds Σ_pairs 1/width Σ_w (s_w - t_w)².

    This is the published Flax script's `mean_square_error_loss` (after DistilBART, arXiv
    2010.13002), with two differences. There the mean is over all positions, padding included, and
    is then divided by the number of target tokens, so that its weight depends on the batch; here
    target tokens are summed and divided as in the other terms. And there the states of a trained
    encoder enter too, while with a frozen one the term is left out altogether.
    """
    indices = [(0, 0), *((of_student + 1, of_teacher + 1) for of_student, of_teacher in pairs)]
    distances = [
        functional.mse_loss(
            student[of_student][is_target].float(),
            teacher[of_teacher][is_target].detach().float(),
            reduction="sum",
        )
        for of_student, of_teacher in indices
    ]
    return torch.stack(distances).sum() / student[0].shape[-1]

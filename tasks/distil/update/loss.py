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

from configs.schema import Distil

_MAX_CACHED: Final = 2**19
"""Logits at a time on the CPU: 2 MB in float32."""


class LossSums(NamedTuple):
    """Losses summed over target tokens; divide by the number of tokens of the whole batch.

    All are float32 scalars in nats, `kl` times temperature squared. `weighted` alone has gradients.
    """

    weighted: torch.Tensor
    kl: torch.Tensor
    ce: torch.Tensor


def loss_sums(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor | None,
    targets: torch.Tensor,
    settings: Distil,
) -> LossSums:
    """Both parts of the loss, summed over target tokens, and their sum by the settings' weights.

    Logits (tokens, vocabulary) in any floating dtype, targets (tokens,) int64. With p the teacher's
    and q the student's softmax of logits / temperature, a token adds T² Σ_v p_v (log p_v - log q_v)
    to `kl` and minus the student's log-probability of the target, at temperature 1, to `ce`.
    Without teacher logits `kl` is 0. Only the student gets a gradient.
    """
    apply: Callable[..., tuple[torch.Tensor, ...]] = _Losses.apply  # which has no types
    return LossSums(*apply(student_logits, teacher_logits, targets, settings))


class _Losses(torch.autograd.Function):
    """The sums, and the gradient from formulas in the same pass, a few tokens at a time.

    The gradient of a token's logits is softmax - one-hot for `ce` and T (q - p) for `kl`. The
    tensors of a few tokens stay in the processor's cache, and each exponential is taken once.
    """

    @staticmethod
    def forward(
        ctx: Any,
        student: torch.Tensor,
        teacher: torch.Tensor | None,
        targets: torch.Tensor,
        settings: Distil,
    ) -> tuple[torch.Tensor, ...]:
        sums = torch.zeros(2, device=student.device)
        gradient = torch.empty_like(student) if ctx.needs_input_grad[0] else None
        for rows in _parts(student):
            found = _from_0(student[rows])
            expected = None if teacher is None else _from_0(teacher[rows])
            part = _add_part(sums, found, expected, targets[rows, None], settings)
            if gradient is not None:
                gradient[rows] = part
        ctx.gradient = gradient
        kl, ce = sums
        return settings.kl_weight * kl + settings.pseudo_label_weight * ce, kl, ce

    @staticmethod
    def backward(
        ctx: Any, of_weighted: torch.Tensor, *_: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, None]:
        return ctx.gradient * of_weighted, None, None, None


def _add_part(
    sums: torch.Tensor,
    found: torch.Tensor,
    expected: torch.Tensor | None,
    targets: torch.Tensor,
    settings: Distil,
) -> torch.Tensor:
    """Add the losses of a few tokens to `sums`; returns the gradient of the weighted sum.

    `found` are the student's logits, `expected` the teacher's, both with a maximum of 0. They are
    overwritten.
    """
    temperature = settings.temperature
    of_target = found.gather(-1, targets)
    gradient = None if temperature == 2 else found.exp()
    if temperature != 1:
        found /= temperature
    q = found.exp()
    if gradient is None:  # the square of exp(x / 2) is exp(x)
        gradient = q.square()
    total = gradient.sum(-1, keepdim=True)
    sums[1] += (total.log() - of_target).sum()
    gradient *= settings.pseudo_label_weight / total
    gradient.scatter_add_(-1, targets, -settings.pseudo_label_weight * torch.ones_like(total))
    if expected is not None:
        if temperature != 1:
            expected /= temperature
        p = expected.exp()
        total_p, total_q = p.sum(-1, keepdim=True), q.sum(-1, keepdim=True)
        p /= total_p
        distance = torch.linalg.vecdot(p, expected.sub_(found))
        sums[0] += temperature**2 * (distance - (total_p / total_q).log()[:, 0]).sum()
        gradient += q.div_(total_q).sub_(p).mul_(settings.kl_weight * temperature)
    return gradient


def _from_0(logits: torch.Tensor) -> torch.Tensor:
    """New float32 logits of the same distribution, with a maximum of 0."""
    exact = logits.float()
    return exact - exact.amax(-1, keepdim=True)


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

"""The loss: KL divergence from the teacher, cross-entropy on the pseudo-labels, hidden states.

The Distil-Whisper paper (arXiv 2311.00430, section 4.1) writes it as 0.8 KL + 1.0 PL, where PL is
the cross-entropy on the pseudo-labels. The published training script computes the reverse,
0.8 cross-entropy + 1.0 KL, with the KL at temperature 2 scaled by its square. Both are settings;
the default is the paper's, with the script's square, which keeps the gradient of the KL term of
the same size at every temperature (Hinton et al., arXiv 1503.02531, section 2).

The third term is the distance of hidden states, which Table 21 of the paper ablates and the
published Flax script (training/flax/run_distillation.py) has; by default its weight is 0, as there.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional


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
    """Both parts of the loss, summed over target tokens.

    Logits (tokens, vocabulary) in any floating dtype, targets (tokens,) int64. With p the teacher's
    and q the student's softmax of logits / temperature, a token adds T² Σ_v p_v (log p_v - log q_v)
    to `kl` and minus the student's log-probability of the target, at temperature 1, to `ce`.
    Without teacher logits `kl` is 0.
    """
    student = student_logits.float()
    ce = functional.cross_entropy(student, targets, reduction="sum")
    if teacher_logits is None:
        return LossSums(kl=torch.zeros_like(ce), ce=ce, num_tokens=len(student))
    kl = functional.kl_div(
        functional.log_softmax(student / temperature, dim=-1),
        functional.log_softmax(teacher_logits.detach().float() / temperature, dim=-1),
        reduction="sum",
        log_target=True,
    )
    return LossSums(kl=kl * temperature**2, ce=ce, num_tokens=len(student))


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

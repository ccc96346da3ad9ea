"""The loss: KL divergence from the teacher, and cross-entropy on the pseudo-labels.

The Distil-Whisper paper (arXiv 2311.00430, section 4.1) writes it as 0.8 KL + 1.0 PL, where PL is
the cross-entropy on the pseudo-labels. The published training script computes the reverse,
0.8 cross-entropy + 1.0 KL, with the KL at temperature 2 scaled by its square. Both are settings;
the default is the paper's, with the script's square, which keeps the gradient of the KL term of
the same size at every temperature (Hinton et al., arXiv 1503.02531, section 2).
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from tasks.whisper.tokens import IGNORED


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
    """Both parts of the loss, summed over the positions whose target is not `IGNORED`.

    Logits (..., vocabulary) in any floating dtype, targets (...) int64. With p the teacher's and q
    the student's softmax of logits / temperature, a token adds T² Σ_v p_v (log p_v - log q_v) to
    `kl` and minus the student's log-probability of the target, at temperature 1, to `ce`. Only
    the logits of target positions are converted to float32. Without teacher logits `kl` is 0.
    """
    is_target = targets != IGNORED
    student = student_logits[is_target].float()
    ce = functional.cross_entropy(student, targets[is_target], reduction="sum")
    if teacher_logits is None:
        return LossSums(kl=torch.zeros_like(ce), ce=ce, num_tokens=len(student))
    teacher = teacher_logits[is_target].detach().float()
    kl = functional.kl_div(
        functional.log_softmax(student / temperature, dim=-1),
        functional.log_softmax(teacher / temperature, dim=-1),
        reduction="sum",
        log_target=True,
    )
    return LossSums(kl=kl * temperature**2, ce=ce, num_tokens=len(student))

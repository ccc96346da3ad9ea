"""Linear maps whose weights do not change; on a CPU they are packed once.

Before a matrix library multiplies, it copies both factors into blocks that suit the processor. With
the few rows of a decoding step, that copy of the weights takes longer than the product. oneDNN can
keep weights in blocks. The operators are those that `torch.compile` uses for frozen models in lower
precision.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation

Activation = Callable[[Tensor], Tensor]


class Affine:
    """A linear map, `weight` (out, in) and `bias` (out,), then an activation; without gradients.

    On a CPU it has a copy of `weight` of its own, for inputs of about `num_rows` rows. Rounding
    differs from that of `torch.nn.Linear`.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        activation: Activation | None = None,
        *,
        num_rows: int,
    ) -> None:
        self._weight, self._bias = weight.detach(), None if bias is None else bias.detach()
        self._is_packed = weight.device.type == "cpu" and can_pack(weight.dtype)
        self._fused = self._is_packed and isinstance(activation, GELUActivation)
        self._activation = None if self._fused else activation
        if self._is_packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, num_rows)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Apply the map to the last axis."""
        outputs: Tensor
        if self._is_packed:
            after = "gelu" if self._fused else "none"
            outputs = torch.ops.mkldnn._linear_pointwise(
                inputs, self._weight, self._bias, after, [], "none"
            )
        else:
            outputs = functional.linear(inputs, self._weight, self._bias)
        return outputs if self._activation is None else self._activation(outputs)


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this torch has the operators, and this CPU computes in `dtype`."""
    is_available: Callable[[], bool] = torch.backends.mkldnn.is_available
    names = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
    if not is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in names):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def fuse(*projections: nn.Linear, activation: Activation | None = None, num_rows: int) -> Affine:
    """Concatenate projections of the same input; a missing bias becomes zeros."""
    if len(projections) == 1:
        [only] = projections
        return Affine(only.weight, only.bias, activation, num_rows=num_rows)
    weight = torch.cat([one.weight for one in projections])
    bias = torch.cat(
        [weight.new_zeros(len(one.weight)) if one.bias is None else one.bias for one in projections]
    )
    return Affine(weight, bias, activation, num_rows=num_rows)

"""Maps with packed weights equal those of torch, for inputs of any number of rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation

from tasks.whisper.decoding.affine import Affine, fuse

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}
ROWS = [(1,), (3, 1), (2, 17), (1, 300)]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", [None, GELUActivation(), nn.ReLU()])
@pytest.mark.parametrize("has_bias", [True, False])
def test_the_map_is_that_of_torch(
    dtype: torch.dtype, activation: Callable[[Tensor], Tensor] | None, has_bias: bool
) -> None:
    torch.manual_seed(0)
    weight = torch.randn(70, 33).to(dtype)
    bias = torch.randn(70).to(dtype) if has_bias else None
    found = Affine(weight, bias, activation, num_rows=16)
    for shape in ROWS:
        inputs = torch.randn(*shape, 33).to(dtype)
        factors = [None if one is None else one.double() for one in (inputs, weight, bias)]
        exact = functional.linear(*factors)
        expected = exact if activation is None else activation(exact)
        outputs = found(inputs)
        assert outputs.dtype == dtype
        tolerance = TOLERANCE[dtype]
        torch.testing.assert_close(outputs.double(), expected, rtol=tolerance, atol=tolerance)


def test_inputs_need_not_be_contiguous() -> None:
    affine = Affine(torch.randn(5, 4), num_rows=16)
    inputs = torch.randn(3, 4, 6).transpose(1, 2)
    torch.testing.assert_close(affine(inputs[:, [0, -1]]), affine(inputs.contiguous())[:, [0, -1]])


def test_projections_of_one_input_are_fused() -> None:
    one, other = nn.Linear(4, 3), nn.Linear(4, 2, bias=False)
    inputs = torch.randn(7, 4)
    expected = torch.cat([one(inputs), other(inputs)], dim=-1)
    torch.testing.assert_close(fuse(one, other, num_rows=16)(inputs), expected)

"""Maps with packed weights equal those of torch, for inputs of any number of rows."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation

from tasks.whisper.decoding import affine
from tasks.whisper.decoding.affine import Affine, can_pack, fuse

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


def test_float32_is_packed_where_torch_has_onednn() -> None:
    assert can_pack(torch.float32) == torch.backends.mkldnn.is_available()
    assert not can_pack(torch.float16)


def test_without_the_operators_the_map_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias, inputs = torch.randn(5, 4), torch.randn(5), torch.randn(3, 4)
    packed = Affine(weight, bias, GELUActivation(), num_rows=16)(inputs)
    monkeypatch.setattr(affine, "can_pack", lambda dtype: False)
    plain = Affine(weight, bias, GELUActivation(), num_rows=16)(inputs)
    torch.testing.assert_close(packed, plain, rtol=1e-5, atol=1e-5)


def test_inputs_need_not_be_contiguous() -> None:
    found = Affine(torch.randn(5, 4), num_rows=16)
    inputs = torch.randn(3, 4, 6).transpose(1, 2)
    torch.testing.assert_close(found(inputs[:, [0, -1]]), found(inputs.contiguous())[:, [0, -1]])


def test_projections_of_one_input_are_fused() -> None:
    one, other = nn.Linear(4, 3), nn.Linear(4, 2, bias=False)
    inputs = torch.randn(7, 4)
    expected = torch.cat([one(inputs), other(inputs)], dim=-1)
    torch.testing.assert_close(fuse(one, other, num_rows=16)(inputs), expected)

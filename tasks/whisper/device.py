"""Compute devices: resolving a configured device, and copying tensors to it."""

from typing import Literal

import torch
from torch import Tensor

from storage.errors import UserError

Device = Literal["auto", "cpu", "cuda"]


def device_name(device: Device) -> str:
    """Resolve `auto` to the GPU if there is one; raises `UserError` for a missing GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "runtime.device is cuda, but torch finds no GPU; set it to auto or cpu, or install the"
            " driver and a torch build that supports it"
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """Copy `host` to the device, without waiting for work that is queued there."""
    if device.type != "cuda":
        return host.to(device)
    return host.pin_memory().to(device, non_blocking=True)

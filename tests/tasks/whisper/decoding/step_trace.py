"""The operations of a decoding step as a program over memory, seen by torch's dispatcher."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tasks.whisper.decoding.graphs import GraphCache

CPU = torch.device("cpu")
HOST_DATA = {"aten.lift_fresh.default", "aten._pin_memory.default"}
"""A tensor made from Python numbers, and memory for copies between host and device."""
HOST_READS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""Operations whose result, or the shape of it, the host must wait for."""
RANDOM = torch.Tag.nondeterministic_seeded


@dataclass
class StepTrace(TorchDispatchMode):
    """Records what runs while it is entered.

    `program` has an entry per operation: its name and arguments. Numbers stand for themselves,
    since a recorded graph repeats them. A tensor stands as shape, strides and dtype, with the
    number of the operation that produced its memory, or, if that existed before, with its address.
    Two equal programs therefore do the same to the same memory, whatever it holds.

    `faults` names the operations that cannot be recorded, as they wait for the device, allocate
    memory whose size depends on contents, or use host memory. Tensors must be on `device`.
    """

    device: torch.device = CPU
    program: list[tuple[object, ...]] = field(default_factory=list)
    faults: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self._made_by: dict[int, int] = {}
        self._kept: list[Tensor] = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        inputs = _tensors([*args, *kwargs.values()])
        described = [self._described(one) for one in (*args, *kwargs.items())]
        existing = {self._address(one) for one in inputs}
        result = operation(*args, **kwargs)
        outputs = _tensors(result)
        self._check(operation, inputs, outputs, kwargs)
        for output in outputs:
            # kept, so that no later tensor gets the same address
            self._kept.append(output)
            if self._address(output) not in existing:
                self._made_by[self._address(output)] = len(self.program)
        shapes = [tuple(output.shape) for output in outputs]
        self.program.append((str(operation), described, shapes))
        return result

    def _check(self, operation, inputs, outputs, kwargs) -> None:
        name = str(operation)
        is_indexing = name.startswith(("aten.index.", "aten.index_put", "aten._index_put"))
        waits = HOST_READS & set(operation.tags)
        if is_indexing:
            # with a mask the number of elements depends on its contents
            waits = any(
                index.dtype in (torch.bool, torch.uint8) for index in _indices(inputs, name)
            )
        elsewhere = [one for one in (*inputs, *outputs) if one.device != self.device]
        if waits or elsewhere or kwargs.get("pin_memory") or name in HOST_DATA:
            self.faults.add(name)
        if RANDOM in operation.tags and not _is_attention_without_dropout(name):
            self.faults.add(name)

    def _address(self, tensor: Tensor) -> int:
        """Of the whole memory that it is a view of; a fake tensor has none."""
        storage = tensor.untyped_storage()
        return storage._cdata if self.device.type == "meta" else storage.data_ptr()

    def _described(self, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple(self._described(one) for one in value)
        if not isinstance(value, Tensor):
            return value
        layout = (tuple(value.shape), value.stride(), value.storage_offset(), value.dtype)
        address = self._address(value)
        if address in self._made_by:
            return ("result of", self._made_by[address], *layout)
        return ("memory at", address, *layout)


def _tensors(value: object) -> list[Tensor]:
    if isinstance(value, list | tuple):
        return [tensor for one in value for tensor in _tensors(one)]
    return [value] if isinstance(value, Tensor) else []


def _indices(inputs, name):
    return inputs[1:] if name.startswith("aten.index.") else inputs[1:-1]


def _is_attention_without_dropout(name: str) -> bool:
    """Attention carries the tag for its dropout, which inference does not use."""
    return "scaled_dot_product" in name


class TracedGraphs(GraphCache):
    """Runs every step under a trace, and compares it with the first of the same key."""

    def __init__(self, device: torch.device = CPU) -> None:
        super().__init__(lambda step: step)
        self._device = device
        self.traces: dict[object, StepTrace] = {}
        self.num_replays = 0

    def run(self, key, step) -> bool:
        trace = StepTrace(device=self._device)
        with trace:
            step()
        assert trace.faults == set(), f"cannot be recorded: {key}"
        first = self.traces.setdefault(key, trace)
        if first is not trace:
            self.num_replays += 1
            for number, pair in enumerate(zip(first.program, trace.program, strict=True)):
                assert pair[0] == pair[1], f"operation {number} of {key} would be replayed wrongly"
        return first is not trace

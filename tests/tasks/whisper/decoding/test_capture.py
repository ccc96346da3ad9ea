"""What a CUDA graph needs of a decoding step, proven on the CPU.

A graph repeats kernels with the arguments and addresses they had when it was recorded, in memory of
its own pool. Nothing may therefore happen in a step that a replay would miss or that recording
forbids:

- no synchronisation with the host: no value of a tensor is read, none decides what runs next;
- static shapes: the operations, their shapes and all Python numbers follow from the key;
- every tensor that outlives the step keeps its address;
- allocations are of sizes that follow from the key, by torch's own allocator on the device, which
  serves them from the graph's pool. Pinned memory, and tensors made from data of the host, are
  neither.
"""

import random

import numpy as np
import pytest
import torch
from transformers import WhisperForConditionalGeneration

from configs.schema import Label, Teacher
from tasks.whisper.decoding import affine, draft_trial, graphs
from tasks.whisper.decoding.acceptance import LENGTHS
from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.draft_length import DraftController
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.engine import AudioWindow
from tasks.whisper.scheduler import GPU_SCHEDULE, BatchScheduler, QueuedWindow
from tests.tasks.whisper.decoding.step_trace import StepTrace, TracedGraphs

NUM_SLOTS = 16
NUM_WINDOWS = 24
META = torch.device("meta")
FROM_HOST = {"aten.lift_fresh.default", "aten.detach_.default", "aten.to.dtype_layout"}
"""Operations that make a tensor from Python numbers and copy it to the device."""

pytestmark = pytest.mark.usefixtures("_small_buckets", "_nothing_packed")


@pytest.fixture
def _nothing_packed(monkeypatch):
    """As on a GPU."""
    monkeypatch.setattr(affine, "can_pack", lambda dtype: False)


@pytest.fixture
def _small_buckets(monkeypatch):
    """So that few positions fall into several buckets, and lengths change often."""
    monkeypatch.setattr(graphs, "_POSITION_BUCKET", 8)
    monkeypatch.setattr(graphs, "_MIN_ROWS", 4)
    monkeypatch.setattr(draft_trial, "_GROUP_STEPS", 2)


def rules_of(model, *, timestamps):
    settings = Label(teacher=Teacher(path="unused"), timestamps=timestamps, max_new_tokens=20)
    return decoding_rules(model.generation_config, model.config, settings)


def decode_all(decoder, encoded, drafts):
    """Schedule windows in groups of random sizes; a few are sampled."""
    draw = random.Random(0)
    windows = [
        AudioWindow(str(row), np.zeros(0, np.float32), 0.6 if row > 20 else 0.0)
        for row in range(len(encoded))
    ]
    scheduler = BatchScheduler(
        decoder,
        lambda batch: encoded[[int(one.id) for one in batch]],
        GPU_SCHEDULE,
        drafts,
    )
    num_ended = 0
    while windows or scheduler.unfinished:
        num_taken = min(scheduler.num_wanted, draw.randrange(NUM_SLOTS + 1))
        taken, windows = windows[:num_taken], windows[num_taken:]
        num_ended += len(scheduler.advance([QueuedWindow(one) for one in taken]))
    assert num_ended == len(encoded)


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("drafts", [False, True])
def test_all_steps_with_the_same_key_are_the_same_program(
    make_whisper, make_features, timestamps, drafts
):
    """Over whole runs: rows start, move and end at different steps, with a draft and without."""
    model = make_whisper(3)
    del model.model.decoder.layers[1:]
    layers = DecoderLayers(model)
    with torch.inference_mode():
        encoded = model.model.encoder(make_features(NUM_WINDOWS)).last_hidden_state
    traced, rules = TracedGraphs(), rules_of(model, timestamps=timestamps)
    decoder = Decoder(layers, layers if drafts else None, rules, NUM_SLOTS, traced)
    controllers = [DraftController(), *map(DraftController, LENGTHS)] if drafts else [None]
    for controller in controllers:
        decode_all(decoder, encoded, controller)
    assert traced.num_replays > len(traced.traces)
    extents, lengths, sampled = (set(part) for part in zip(*traced.traces, strict=True))
    assert len(extents) > 2
    # None: a step of the draft that follows the teacher
    assert lengths == ({None, *LENGTHS} if drafts else {0})
    assert sampled >= {False, True}


def test_a_program_includes_addresses_shapes_and_python_numbers():
    state, other = torch.zeros(4), torch.zeros(4)

    def program(step):
        with StepTrace() as trace:
            step()
        return trace.program

    def step(target=state, number=1, length=4):
        target[:length] += number * torch.ones(length)

    assert program(step) == program(step)
    for changed in ({"target": other}, {"number": 2}, {"length": 3}):
        assert program(lambda changed=changed: step(**changed)) != program(step)


@pytest.mark.parametrize(
    "step",
    [
        lambda state: state.sum().item(),
        lambda state: state[state > 0],
        lambda state: state.masked_fill_(state > 0, float(state[0])),
        lambda state: state.nonzero(),
        lambda state: state.__setitem__(state > 0, 0.0),
        lambda state: torch.equal(state, state),
        lambda state: state.unique(),
        lambda state: state + torch.tensor([1.0, 2.0, 3.0, 4.0]),
        lambda state: state.bernoulli_(),
        lambda state: [1] if state.any() else [],
    ],
)
def test_what_cannot_be_recorded_is_noticed(step):
    state = torch.zeros(4)
    with StepTrace() as trace:
        step(state)
    assert trace.faults


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("timestamps", [False, True])
def test_every_tensor_of_a_step_is_on_the_device(make_whisper, timestamps, dtype):
    """On torch's device without contents, where reading a value is an error.

    Around the steps, copies alone cross between host and device.
    """
    config, rules = make_whisper(3).config, rules_of(make_whisper(3), timestamps=timestamps)
    with META:
        layers = DecoderLayers(WhisperForConditionalGeneration(config).eval().to(dtype))
    traced = TracedGraphs(META)
    decoder = Decoder(layers, layers, rules, NUM_SLOTS, traced)
    encoded = torch.empty((3, config.max_source_positions, 32), dtype=dtype, device=META)
    for temperature in (0.0, 0.6):
        with StepTrace(device=META) as trace:
            decoder.prefill([0, 5, 1], encoded, [1, -2, 3], [temperature, 0.0, 0.0])
            decoder.prefill_draft([0, 5, 1], encoded)
            decoder.move(5, 2)
            decoder.snapshot(3)
        assert trace.faults <= FROM_HOST
        for num_drafted in LENGTHS:
            decoder.step(3, 9, num_drafted=num_drafted, samples=temperature > 0)
        decoder.follow(3, 9)
    assert len(traced.traces) == 2 * len(LENGTHS) + 1


def test_a_tensor_of_the_host_in_a_step_is_noticed():
    state, indices = torch.zeros(4, device=META), torch.tensor([1, 2])
    with StepTrace(device=META) as trace:
        state[indices]
    assert trace.faults
    with pytest.raises((NotImplementedError, RuntimeError)), StepTrace(device=META):
        state.sum().item()

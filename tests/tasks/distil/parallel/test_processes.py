"""Several processes see the batches of one, and have the gradient of one."""

from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from configs.schema import Distil
from storage.errors import IntegrityError, ShardError, TransientError
from tasks.distil.batch import Prepared
from tasks.distil.encode import TeacherEncoder
from tasks.distil.parallel.members import met, started
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.distil.student import make_student, save_student
from tasks.distil.update.pair import make_pair, ready_teacher
from tasks.distil.update.step import add_gradients

CPU = torch.device("cpu")
NUM_ROWS = 7
"""Not a multiple of two, and fewer than eight."""


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_each_row_of_a_batch_has_one_process(size: int) -> None:
    shares = [list(Processes(rank, size).share(range(21), NUM_ROWS)) for rank in range(size)]
    batches = []
    for start in range(0, 21, NUM_ROWS):
        batch = range(start, start + NUM_ROWS)
        taken = [[row for row in share if row in batch] for share in shares]
        for rank, rows in enumerate(taken):
            assert len(rows) == Processes(rank, size).num_rows(NUM_ROWS)
        batches.append(sorted(row for rows in taken for row in rows))
    assert batches == [list(range(start, start + NUM_ROWS)) for start in (0, 7, 14)]


def gradients(folder: Path, processes: Processes) -> None:
    """Store the gradient of a batch as this process has it, and the mean loss."""
    teacher = WhisperForConditionalGeneration.from_pretrained(folder)
    processor = WhisperProcessor.from_pretrained(folder)
    ready_teacher(teacher, CPU, Distil())
    student, encode = make_student(teacher, 2), TeacherEncoder(teacher, CPU, torch.float32)
    pair = make_pair(teacher, student, encode, Distil(), processor.tokenizer.eos_token_id)
    batch = processes.share(rows_of_a_batch(processor), NUM_ROWS)
    mean = add_gradients(pair, list(batch), 2, processes)
    found = {
        name: value.grad for name, value in student.named_parameters() if value.grad is not None
    }
    found["mean"] = torch.tensor([mean.loss, mean.ce, mean.kl, mean.num_positions])
    safetensors.torch.save_file(found, folder / f"{processes.rank} of {processes.size}")


def rows_of_a_batch(processor: WhisperProcessor) -> list[Prepared]:
    random = torch.Generator().manual_seed(1)
    rows = []
    for number in range(NUM_ROWS):
        tokens = tuple(torch.randint(5, 60, (3 + 2 * number,), generator=random).tolist())
        features = torch.randn(80, 100, generator=random).numpy()
        rows.append(Prepared(torch.zeros(16_000).numpy(), features, tokens, tokens))
    return rows


def follow(folder: Path, rank: int, size: int, meeting: str) -> None:
    with met(CPU, meeting, rank, size) as processes:
        gradients(folder, processes)


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_gradient_is_that_of_one_process(
    make_teacher, processor, tmp_path: Path, size: int
) -> None:
    save_student(make_teacher(), processor, tmp_path)
    gradients(tmp_path, ALONE)
    with started(["cpu"] * size, partial(follow, tmp_path)) as (processes, device):
        assert (processes, device) == (Processes(0, size), CPU)
        gradients(tmp_path, processes)
    alone = safetensors.torch.load_file(tmp_path / "0 of 1")
    assert any(value.abs().max() > 1e-3 for value in alone.values())
    for rank in range(size):
        found = safetensors.torch.load_file(tmp_path / f"{rank} of {size}")
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            if name != "mean":
                torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found["mean"][:3], alone["mean"][:3], rtol=1e-5, atol=1e-5)


def start_from(step: int, rank: int, size: int, meeting: str) -> None:
    with met(CPU, meeting, rank, size) as processes:
        weights = torch.full((3,), float(rank))
        processes.start_together([weights], step)
        assert weights.tolist() == [0, 0, 0]


def test_all_begin_with_the_weights_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a folder").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a folder"))
    num_threads = torch.get_num_threads()
    with started(["cpu", "cpu"], partial(start_from, 4)) as (processes, _):
        processes.start_together([torch.zeros(3)], 4)
    assert torch.get_num_threads() == num_threads


def test_processes_with_different_checkpoints_are_refused() -> None:
    with (
        pytest.raises(IntegrityError, match="process 0 of 2 resumes after step 2"),
        started(["cpu", "cpu"], partial(start_from, 4)) as (processes, _),
    ):
        processes.start_together([torch.zeros(3)], 2)


def fail(message: str, rank: int, size: int, meeting: str) -> None:
    with met(CPU, meeting, rank, size):
        raise ShardError(message)


def fail_early(message: str, rank: int, size: int, meeting: str) -> None:
    raise ShardError(message)


@pytest.mark.parametrize("work", [fail, fail_early])
def test_the_error_of_another_process_is_raised_here(work) -> None:
    with (
        pytest.raises(ShardError, match="window w3 is too long"),
        started(["cpu", "cpu"], partial(work, "window w3 is too long")) as (processes, _),
    ):
        processes.sum([1])


@pytest.mark.parametrize("error", [MemoryError("not enough memory"), RuntimeError("CUDA error")])
def test_an_error_of_this_process_is_raised_as_it_is(error: Exception) -> None:
    with (
        pytest.raises(type(error), match=str(error)),
        started(["cpu", "cpu"], partial(start_from, 4)),
    ):
        raise error


def end_at_once(rank: int, size: int, meeting: str) -> None:
    import os

    with met(CPU, meeting, rank, size):
        os._exit(9)


def test_the_end_of_another_process_is_noticed() -> None:
    with (
        pytest.raises(TransientError, match="the process for cpu was killed"),
        started(["cpu", "cpu"], end_at_once) as (processes, _),
    ):
        processes.sum([1])

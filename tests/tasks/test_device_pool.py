"""A process per device: what it sees, and the results, errors and log records it returns."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from configs.schema import Label, Runtime, Teacher
from storage.errors import ShardError, TransientError, UserError
from tasks.device_pool import DevicePool
from tests.tasks.pool_work import (
    environment,
    fail,
    labels_of,
    log,
    num_loads,
    process_id,
    sleep,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make_pool():
    made = []

    def make(*devices):
        made.append(DevicePool(devices))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


def test_each_device_keeps_one_process(make_pool):
    pool = make_pool("cpu", "cpu")
    with ThreadPoolExecutor(2) as threads:
        first = set(threads.map(lambda _: pool.run(sleep, 1.0), range(2)))
    again = {pool.run(process_id) for _ in range(2)}
    assert len(first) == 2
    assert os.getpid() not in first
    assert again <= first


def test_a_process_sees_only_its_device(make_pool, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert make_pool("cuda:3").run(environment)["CUDA_VISIBLE_DEVICES"] == "3"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-a7")
    assert make_pool("cuda:1").run(environment)["CUDA_VISIBLE_DEVICES"] == "GPU-a7"
    found = make_pool("cpu").run(environment)
    assert found["CUDA_VISIBLE_DEVICES"] == ""
    assert int(found["OMP_NUM_THREADS"]) == os.cpu_count()


def test_errors_are_raised_with_type_message_and_cause(make_pool):
    pool = make_pool("cpu")
    with pytest.raises(UserError, match=r"^no teacher$"):
        pool.run(fail, UserError("no teacher"))
    with pytest.raises(KeyError, match="'name'") as raised:
        pool.run(fail, KeyError("name"))
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(ShardError, match=r"^it broke$") as raised:
        pool.run(fail, ShardError("it broke"), TimeoutError("too slow"))
    assert isinstance(raised.value.__cause__, TimeoutError)
    with pytest.raises(ShardError) as raised:
        pool.run(fail, "an error that cannot be unpickled")
    assert str(raised.value) == "Odd: first line"


def test_a_killed_process_is_reported_and_replaced(make_pool):
    pool = make_pool("cpu")
    number = pool.run(process_id)
    killing = threading.Timer(0.5, os.kill, (number, signal.SIGKILL))
    killing.start()
    with pytest.raises(TransientError, match=r"process for cpu was killed") as raised:
        pool.run(sleep, 60)
    assert "exit code -9" in str(raised.value)
    assert pool.run(process_id) != number


def test_log_records_reach_the_parent(make_pool, caplog):
    with caplog.at_level(logging.WARNING):
        make_pool("cpu").run(log, "no memory for %d windows", 64)
    assert [record.getMessage() for record in caplog.records] == ["no memory for 64 windows"]


def test_processes_end_when_their_parent_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    code = (
        "from tasks.device_pool import DevicePool; from tests.tasks import pool_work;"
        f"open({str(pid_file)!r}, 'w').write(str(DevicePool(['cpu']).run(pool_work.process_id)));"
        "import time; time.sleep(60)"
    )
    # with -c, a spawned process has no main module to import again
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        deadline_s = time.monotonic() + 30
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        parent.kill()
    number = int(pid_file.read_text())
    while time.monotonic() < deadline_s and _is_alive(number):
        time.sleep(0.1)
    assert not _is_alive(number)


def _is_alive(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_two_processes_give_the_labels_of_one(make_pool, row, normalised):
    """Each process loads the model once."""
    settings = Label(
        teacher=Teacher(path=str(ROOT / "tasks/demo/teacher")), temperatures=(0.0,),
        max_new_tokens=8,
    )  # fmt: skip
    shards = [normalised(row(f"{n}a"), row(f"{n}b", speaker_id="bob")) for n in range(4)]
    runtime = Runtime(device="cpu", label_batch_size=2)
    expected_labels = [labels_of(shard, settings, runtime) for shard in shards]
    pool = make_pool("cpu", "cpu")
    with ThreadPoolExecutor(2) as threads:
        labels = list(threads.map(lambda one: pool.run(labels_of, one, settings, runtime), shards))
    for found, expected in zip(chain(*labels), chain(*expected_labels), strict=True):
        # the last bits depend on the number of threads
        assert found.pop("avg_logprob") == pytest.approx(expected.pop("avg_logprob"), abs=1e-4)
        assert found.pop("no_speech_prob") == pytest.approx(
            expected.pop("no_speech_prob"), abs=1e-4
        )
        assert found == expected
    assert pool.run(num_loads) == 1


def test_ctrl_c_ends_no_process(make_pool):
    """The terminal sends it to all processes; a call that it ended would count as a failure."""
    pool = make_pool("cpu")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(pool.run, sleep, 1.0)
        while not (started := multiprocessing.active_children()):
            time.sleep(0.01)
        os.kill(started[0].pid, signal.SIGINT)  # while its interpreter starts
        number = running.result()
    os.kill(number, signal.SIGINT)
    assert pool.run(process_id) == number


def test_sigterm_is_left_to_the_parent_during_a_call(make_pool):
    """Sent to a whole group, it reaches the parent too, which has to save what they do together."""
    pool = make_pool("cpu")
    number = pool.run(process_id)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(pool.run, sleep, 1.0)
        time.sleep(0.3)
        os.kill(number, signal.SIGTERM)
        assert running.result() == number

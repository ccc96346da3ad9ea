"""What orchestration costs a shard: a stage that does nothing, by the real flows and a real server.

    python -m benchmarks.orchestration [--json] [--shards 100,1000,10000]

Each number of shards gets a Prefect server of its own on loopback, as `distillery run` starts one,
and a fresh process: their jobs are those of `label`, and go through the code that gathers those.
Told are the seconds until the server has recorded them, the processor time of flow and server, the
memory and the database, all by shard, and how many task runs the server shows in the end. Then the
largest number of shards is finished in a folder and in an S3 server over the wire (moto), and
`distillery run` and `distillery status` are timed on it as commands.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from typing import Final

import httpx
import psutil

from benchmarks.finished_shards import CORPUS, write_config, write_finished
from configs.load import load_config
from configs.schema import Runtime
from flows.server.session import prefect_session
from flows.state.corpus_state import CorpusState
from storage.receipt import Receipt
from storage.receipts import summarise_all
from storage.store import Store

_SIZES: Final = (100, 1_000, 10_000)
_COMMAND: Final = Path(sys.executable).with_name("distillery")
_PAUSE_S: Final = 0.1
_SETTLE_LIMIT_S: Final = 60.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shards", default=",".join(map(str, _SIZES)))
    parser.add_argument("--only", type=int, help="this many in this very process")
    parser.add_argument("--most", type=int, default=Runtime().tasks_per_flow_run)
    given = parser.parse_args()
    if given.only is not None:
        sys.stdout.write(json.dumps(run_nothing(given.only, given.most)) + "\n")
        return
    sizes = [int(size) for size in given.shards.split(",")]
    rows = [_in_a_process("orchestration", "--only", str(size)) for size in sizes]
    overlap = _in_a_process("overlap")
    figures = {
        **{f"ms_per_shard_{row['num_shards']}": row["ms_per_shard"] for row in rows},
        **resumed(max(sizes)),
        **{f"overlap_{name}": value for name, value in overlap.items()},
    }
    ratios = {
        "wall_vs_busiest": overlap["wall_s"] / overlap["busiest_s"],
        "wall_vs_busiest_in_the_old_order": overlap["old_order_s"] / overlap["busiest_s"],
    }
    if given.json:
        found = {"figures": figures, "ratios": ratios, "rows": rows}
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    for row in rows:
        told = ", ".join(f"{name} {value:,.3g}" for name, value in row.items())
        sys.stdout.write(f"{told}\n")
    for name, value in {**figures, **ratios}.items():
        sys.stdout.write(f"{name}: {value:.3g}\n")


def _in_a_process(module: str, *words: str) -> dict[str, float]:
    """What a benchmark prints last, as JSON, run in a fresh process."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return row


def run_nothing(
    num_shards: int, num_most: int, on_shard: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """A stage that does nothing but call `on_shard`, from a fresh server to the last recorded row.

    It is parted over flow runs of at most `num_most` tasks, as those of real work are.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = write_config(folder, str(folder / "root"), tasks_per_flow_run=num_most)
        write_finished(config, num_shards, _put_into(folder / "root"), "normalise")
        with prefect_session(folder / "prefect") as wait_until_up:
            wait_until_up()
            return _measured(config, num_shards, folder / "prefect", on_shard)


def _measured(
    config: Path, num_shards: int, home: Path, on_shard: Callable[[], None]
) -> dict[str, float]:
    from prefect import flow

    from benchmarks.stub_tasks import stub_tasks
    from flows.dispatch.advance import FixedUnits
    from flows.dispatch.runs import Runs
    from flows.state.frontier import Frontier
    from tasks.job import Job

    def nothing(job: Job) -> Receipt:
        on_shard()
        return done

    settings = load_config(config)
    frontier = Frontier([CorpusState.open(settings, CORPUS)], "label", ["label"])
    units = frontier.start()
    done = next(iter(CorpusState.open(settings, CORPUS).shards())).receipts["normalise"]
    runtime = settings.runtime
    task_of = stub_tasks(nothing, runtime)

    @flow(name="label", flow_run_name=f"label {CORPUS}")
    def stage(config: str) -> int:
        runs = Runs(
            config=config,
            settings=settings,
            source=FixedUnits(units),
            num_units=frontier.num_units,
            task_of=task_of,
        )
        assert not runs.make()
        return len(units)

    own = psutil.Process()
    (server,) = own.children()
    before_s = [_processor_s(one) for one in (own, server)]
    with _watched_memory(own, server) as peaks:
        started_s = perf_counter()
        assert stage(str(config)) == num_shards
        num_parts = _num_parts(num_shards, runtime.tasks_per_flow_run)
        num_recorded = _num_recorded(num_shards + num_parts) - num_parts
        taken_s = perf_counter() - started_s
    flow_s, server_s = (
        _processor_s(one) - before for one, before in zip((own, server), before_s, strict=True)
    )
    database_mb: float = sum(path.stat().st_size for path in home.glob("prefect.db*")) / 1e6
    return {
        "num_shards": num_shards,
        "num_recorded": num_recorded,
        "num_flow_runs": _count("flow_runs", {}),
        "seconds": taken_s,
        "ms_per_shard": 1e3 * taken_s / num_shards,
        "flow_cpu_ms_per_shard": 1e3 * flow_s / num_shards,
        "server_cpu_ms_per_shard": 1e3 * server_s / num_shards,
        "mb_per_shard": (peaks[own] + peaks[server] + database_mb) / num_shards,
        "flow_memory_mb": peaks[own],
        "server_memory_mb": peaks[server],
        "database_mb": database_mb,
    }


_ENDED: Final = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}


def _num_recorded(wanted: int) -> int:
    """The task runs that the server shows as completed, once there are `wanted` or it is late."""
    deadline_s, found = perf_counter() + _SETTLE_LIMIT_S, 0
    while found < wanted and perf_counter() < deadline_s:
        found = _count("task_runs", _ENDED)
        time.sleep(_PAUSE_S)
    return found


def _count(kind: str, wanted: Mapping[str, object]) -> int:
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    answer = httpx.post(
        f"{os.environ['PREFECT_API_URL']}/{kind}/count", json=wanted, auth=(user, password)
    )
    return int(answer.raise_for_status().json())


def _num_parts(num_shards: int, num_most: int) -> int:
    """Flow runs within a flow run have a row among the tasks too."""
    return -(-num_shards // num_most) if num_shards > num_most else 0


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _watched_memory(*processes: psutil.Process) -> Iterator[Mapping[psutil.Process, float]]:
    """The most megabytes that each process holds meanwhile, above what it held before."""
    before = {one: one.memory_info().rss / 1e6 for one in processes}
    peaks, ended = dict.fromkeys(processes, 0.0), Event()

    def watch() -> None:
        while not ended.wait(_PAUSE_S):
            for one in processes:
                peaks[one] = max(peaks[one], one.memory_info().rss / 1e6 - before[one])

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def resumed(num_shards: int) -> dict[str, float]:
    """Wall seconds of the commands on `num_shards` that are finished, in a folder and on S3."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = write_config(folder, str(folder / "root"))
        write_finished(config, num_shards, _put_into(folder / "root"))
        found[f"status_unsummarised_{num_shards}_s"] = _timed(config, "status")
        found |= _commands(config, num_shards, "")
    with tempfile.TemporaryDirectory() as made, _s3() as put:
        config = write_config(Path(made), "s3://bucket/root")
        write_finished(config, num_shards, put)
        found |= _commands(config, num_shards, "s3_")
    return found


def _commands(config: Path, num_shards: int, where: str) -> dict[str, float]:
    settings = load_config(config)
    store = Store(settings.root)
    summarise_all(store, {path.rpartition("/")[0] for path in store.list("")})
    return {
        f"status_{where}{num_shards}_s": _timed(config, "status"),
        f"resume_{where}{num_shards}_s": _timed(config, "run", "--until", "filter"),
    }


def _timed(config: Path, word: str, *options: str) -> float:
    command = [str(_COMMAND), word, config.name, *options]
    started_s = perf_counter()
    done = subprocess.run(command, cwd=config.parent, check=True, capture_output=True, text=True)
    assert not (config.parent / ".prefect").exists(), "a server was started to do nothing"
    assert done.stdout
    return perf_counter() - started_s


def _put_into(root: Path) -> Callable[[str, bytes], None]:
    """Writes files below a folder, in a fraction of the time that commits would take."""

    def put(path: str, data: bytes) -> None:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    return put


@contextmanager
def _s3() -> Iterator[Callable[[str, bytes], None]]:
    """An S3 server on loopback with a bucket; yields what puts an object straight into it."""
    from moto.backends import get_backend
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    objects = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]
    objects.create_bucket("bucket", "us-east-1")

    def put(path: str, data: bytes) -> None:
        objects.put_object("bucket", f"root/{path}", data)

    try:
        yield put
    finally:
        server.stop()


if __name__ == "__main__":
    main()

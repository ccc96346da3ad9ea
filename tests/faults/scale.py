"""Many shards in one process, whose memory, handles and connections are measured on the way.

    python -m tests.faults.scale commits|flows ROOT SHARDS

`commits` commits very small shards; `flows` makes shards that do nothing, by the real flows and a
Prefect server of their own. Prints one line of JSON after a fifth of the shards, and at the end.
"""

import gc
import json
import sys
from collections.abc import Callable
from itertools import count

import psutil

from storage.store import Store
from tests.storage.commit_until_killed import commit_pending


def measure(num_shards: int) -> dict[str, int]:
    """What this process holds."""
    gc.collect()
    process = psutil.Process()
    connections = process.net_connections("tcp")
    return {
        "shards": num_shards,
        "rss_kb": process.memory_info().rss >> 10,
        "handles": process.num_fds(),
        "threads": process.num_threads(),
        "connections": sum(one.status == psutil.CONN_ESTABLISHED for one in connections),
    }


def main(kind: str, root: str, num_shards: int) -> None:
    """Make the shards."""
    numbers = count(1)

    def on_shard() -> None:
        number = next(numbers)
        if number in (num_shards // 5, num_shards):
            sys.stdout.write(json.dumps(measure(number)) + "\n")
            sys.stdout.flush()

    WORK[kind](root, num_shards, on_shard)


def commits(root: str, num_shards: int, on_shard: Callable[[], None]) -> None:
    for _ in commit_pending(Store(root), on_shard, num_shards=num_shards, num_bytes=16):
        continue


def flows(root: str, num_shards: int, on_shard: Callable[[], None]) -> None:
    from benchmarks.orchestration import run_nothing
    from configs.schema import Runtime

    run_nothing(num_shards, Runtime().tasks_per_flow_run, on_shard)


WORK = {"commits": commits, "flows": flows}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

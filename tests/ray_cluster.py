"""Two nodes of a Ray cluster on this machine, each with a processor and a card that it believes in.

Run as a script it prints the address and keeps the cluster until its standard input ends: `ray
stop` would end those of others too.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.flows.running import REPOSITORY
from tests.processes import environment

_ADDRESS = "127.0.0.2"  # Ray puts the machine's own address in the place of 127.0.0.1
_OBJECT_STORE_BYTES = 128 << 20


def main() -> None:
    from ray.cluster_utils import Cluster

    node = {
        "node_ip_address": _ADDRESS,
        "num_cpus": 1,
        "num_gpus": 1,
        "object_store_memory": _OBJECT_STORE_BYTES,
    }
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    cluster.add_node(**node)
    cluster.wait_for_nodes()
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster that ends with the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.ray_cluster"],
        cwd=REPOSITORY,
        env=environment(RAY_USAGE_STATS_ENABLED="0"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if line.count(":") == 1 and line[0].isdecimal())
    finally:
        process.stdin.close()
        process.wait(60)


if __name__ == "__main__":
    main()

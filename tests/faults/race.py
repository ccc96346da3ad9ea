"""Many processes that do the same at the same moment; run as a script because it forks.

    python -m tests.faults.race commit|publish ROOT PROCESSES ROUNDS

prints one line of JSON for each round: what each process found.
"""

import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from storage.store import Store
from tests.processes import at_once
from tests.storage import commit_until_killed, publish_together


def commit(root: str, number: int, process: int) -> Mapping[str, Any]:
    """Commit the same shards as all others; returns the digest and author of each receipt."""
    receipts = commit_until_killed.commit_pending(
        Store(f"{root}/{number}"), num_bytes=1 << 12, by=process
    )
    return {str(one.key): [one.output.sha256, one.recorded["by"]] for one in receipts}


def publish(root: str, number: int, process: int) -> Mapping[str, Any]:
    """Publish the same as all others in even rounds, something of its own in odd rounds."""
    return publish_together.publish(root, f"{number} {process}" if number % 2 else str(number))


WORK: Mapping[str, Callable[[str, int, int], Mapping[str, Any]]] = {
    "commit": commit, "publish": publish,
}  # fmt: skip


def main(kind: str, root: str, num_processes: int, num_rounds: int) -> None:
    """Race so often."""
    for number in range(num_rounds):
        works = [partial(WORK[kind], root, number, process) for process in range(num_processes)]
        found = at_once(works)
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

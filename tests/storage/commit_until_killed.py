"""Commits shards in processes that are killed; run as a script because it forks."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from storage.commit import Commit
from storage.outcome import Outcome, dropped
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place, TableFormat, find_receipt
from storage.store import Store

NUM_SHARDS = 24
NUM_KILLS = 10
_SOURCE = "a" * 64
_LONGEST_WAIT_S = 0.02
_SCHEMA = pa.schema(
    [pa.field("id", pa.string(), nullable=False), pa.field("data", pa.binary(), nullable=False)]
)
_FORMAT = TableFormat(schema=_SCHEMA, row_group_bytes=None)


def commit_pending(
    store: Store,
    on_commit: Callable[[], object] = lambda: None,
    *,
    num_shards: int = NUM_SHARDS,
    num_bytes: int = 1 << 18,
    **recorded: object,
) -> Iterator[Receipt]:
    """Commit the missing shards and yield all receipts; `on_commit` is called after each commit.

    Each shard has two rows of `num_bytes`, and a receipt with what is to be `recorded`.
    """
    for index in range(num_shards):
        place = Place(stage="stage", fingerprint="f00d", key=ShardKey("corpus", "train", index))
        receipt = find_receipt(store, place, _SOURCE)
        if receipt is None:
            receipt = Commit(
                store=store,
                table=_FORMAT,
                place=place,
                sources=(_SOURCE,),
                ids_in=("a", "b", "c"),
                max_quarantined_percent=0,
                recorded=recorded,
            )(iter(_outcomes(index, num_bytes)))
            on_commit()
        yield receipt


def _outcomes(index: int, num_bytes: int) -> list[Outcome]:
    noise = random.Random(index)
    rows = [[{"id": row_id, "data": noise.randbytes(num_bytes)}] for row_id in "ab"]
    batches = [pa.RecordBatch.from_pylist(row, schema=_SCHEMA) for row in rows]
    return [*batches, dropped("c", "empty")]


def main(root: str, seed: int) -> None:
    """Start processes that commit at least one shard, and kill each at a random moment."""
    wait = random.Random(seed)
    for _ in range(NUM_KILLS):
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            for _ in commit_pending(Store(root), lambda out=writer: os.write(out, b".")):
                continue
            os._exit(0)
        os.close(writer)  # so that reading ends if the child has nothing left to do
        os.read(reader, 1)
        time.sleep(wait.uniform(0, _LONGEST_WAIT_S))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

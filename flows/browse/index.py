"""The index of a run's training utterances, without audio, made shard by shard and cached."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from flows.browse.part import UTTERANCES, plan_part, shard_part
from flows.state.corpus_state import CorpusState
from flows.state.shard_state import ShardState
from storage.fingerprint import digest
from storage.receipt import Receipt
from storage.store import Store

_VERSION: Final = 1
"""Raised when the meaning of a cached part changes."""

_NUM_AT_ONCE: Final = 4

Part = Callable[[], pa.Table]


def index_parts(states: Sequence[CorpusState]) -> list[Part]:
    """What makes the parts of the index, in order: a part per shard and per part of a plan."""
    return [part for state in states for part in _parts(state)]


def read_index(parts: Sequence[Part], advance: Callable[[], None] = lambda: None) -> pa.Table:
    """The whole index (UTTERANCES); `advance` is called for each part.

    Raises `IntegrityError` for a damaged file.
    """
    tables = [UTTERANCES.empty_table()]
    with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
        for table in pool.map(lambda part: part(), parts):
            tables.append(table)
            advance()
    return pa.concat_tables(tables).combine_chunks()


def _parts(state: CorpusState) -> Iterator[Part]:
    for split in state.splits("train"):
        for plan in state.plan_receipts(split):
            if plan.rejected is not None:
                yield partial(plan_part, state, plan)
        for shard in state.shards_of(split):
            yield partial(_cached, state, shard)


def _cached(state: CorpusState, shard: ShardState) -> pa.Table:
    """The part of a shard, from the folder for scratch if it was made from the same files."""
    path = _cache_folder(state.store) / f"{_identity(state, shard)}.parquet"
    try:
        table = pq.read_table(path)
        if table.schema.equals(UTTERANCES):
            return table
    except (OSError, pa.ArrowInvalid):  # not there yet, or damaged
        pass
    table = shard_part(state, shard)
    unfinished = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        pq.write_table(table, unfinished, compression="zstd")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return table


def _identity(state: CorpusState, shard: ShardState) -> str:
    """What decides a part: the files it is made from, and the settings of the filter."""
    files = [
        [stage, *_digests(receipt)]
        for stage, receipt in shard.receipts.items()
        if stage != "filter"
    ]
    return digest([_VERSION, str(shard.key), state.place("filter", shard.key).fingerprint, files])


def _digests(receipt: Receipt) -> list[str]:
    rejected = "" if receipt.rejected is None else receipt.rejected.sha256
    return [receipt.output.sha256, rejected]


def _cache_folder(store: Store) -> Path:
    folder = store.scratch_folder() / "browse"
    folder.mkdir(exist_ok=True)
    return folder

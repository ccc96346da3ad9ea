"""The index of the evaluation splits as the rules ask it, read from its files once a process."""

import functools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import Filter, RunConfig
from storage.receipt import FileRef
from storage.store import Store
from tasks.filter.contamination import Evaluated, EvaluationIndex


def evaluated_speech(
    config: RunConfig, settings: Filter, index: Sequence[FileRef], own: FileRef | None
) -> Evaluated | None:
    """What `contamination` asks; None where it asks nothing.

    `index` are files of the schema IDENTITIES, of all speech to measure on, and `own` is that of
    the shard that is filtered, for the sound of its utterances. Raises `IntegrityError` when a file
    is not what its receipt says.
    """
    if settings.contamination is None:
        return None
    at = (config.root, config.runtime.scratch)
    found = _index(*at, tuple(index), settings.contamination.ngram_words)
    if own is None:
        return Evaluated(index=found, sounds={})
    with Store(*at).fetch(own) as path:
        table = pq.read_table(path, columns=["id", "sound"])
    sounds = dict(zip(*(table.column(name).to_pylist() for name in ("id", "sound")), strict=True))
    return Evaluated(index=found, sounds=sounds)


@functools.lru_cache(maxsize=1)
def _index(
    root: str, scratch: str | None, files: tuple[FileRef, ...], ngram_words: int | None
) -> EvaluationIndex:
    store = Store(root, scratch)
    tables: list[pa.Table] = []
    for file in files:
        with store.fetch(file) as path:
            tables.append(pq.read_table(path))
    rows = [row for table in tables for row in table.to_pylist()]
    return EvaluationIndex.of(
        names=[f"{row['corpus']}/{row['split']} {row['id']}" for row in rows],
        texts=[row["text"] for row in rows],
        sounds=[row["sound"] for row in rows],
        ngram_words=ngram_words,
    )

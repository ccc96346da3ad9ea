"""Loads the index of the evaluation splits, once per process."""

import functools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import Filter, RunConfig
from storage.receipt import FileRef
from storage.store import Store
from tasks.filter.contamination import EvaluationIndex, EvaluationSpeech


def evaluated_speech(
    config: RunConfig, settings: Filter, index: Sequence[FileRef], own: FileRef | None
) -> EvaluationSpeech | None:
    """The speech that `filter.contamination` compares with; None if the rule is off.

    `index` are files of the schema IDENTITIES for all evaluation splits, and `own` is that of the
    filtered shard, for its audio digests. Raises `IntegrityError` for a damaged file.
    """
    if settings.contamination is None:
        return None
    at = (config.root, config.runtime.scratch)
    loaded = _index(*at, tuple(index), settings.contamination.ngram_words)
    if own is None:
        return EvaluationSpeech(index=loaded, audio_digests={})
    with Store(*at).fetch(own) as path:
        table = pq.read_table(path, columns=["id", "sound"])
    digests = dict(zip(*(table.column(name).to_pylist() for name in ("id", "sound")), strict=True))
    return EvaluationSpeech(index=loaded, audio_digests=digests)


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
        audio_digests=[row["sound"] for row in rows],
        ngram_words=ngram_words,
    )

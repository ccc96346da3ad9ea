"""A root in which so many shards are done, by their receipts alone: no audio, no labels.

What resumes a run and tells its status reads receipts and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from configs.load import load_config
from configs.schema import RunConfig
from storage.receipt import Counts, FileRef, PlannedShard, Receipt
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.download.parts import ARCHIVES, download_place
from tasks.stages import SHARD_STAGES, fingerprints, shard_stages, stage_named

CORPUS: Final = "librispeech"
SPLIT: Final = "train-clean-100"
_ROWS: Final = 40
_HOURS: Final = 0.1


def write_config(folder: Path, root: str, **runtime: Any) -> Path:
    """A configuration of one corpus and one split at `root`, with a teacher that is here."""
    teacher = Path(__file__).parents[1] / "tasks" / "demo" / "teacher"
    settings = {
        "root": root,
        "corpora": {CORPUS: {"splits": [SPLIT]}},
        "label": {"teacher": {"path": str(teacher)}},
        "publish": {"name": "bench"},
        "runtime": runtime,
    }
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def write_finished(
    config: Path,
    num_shards: int,
    put: Callable[[str, bytes], None] | None = None,
    last_stage: str = SHARD_STAGES[-1],
) -> None:
    """Put the receipts of `num_shards` shards that are done up to `last_stage`, none summarised.

    `put` writes a file below the root; without it the store does, one after the other.
    """
    settings = load_config(config)
    store = Store(settings.root, settings.runtime.scratch)
    for path, receipt in _receipts(settings, num_shards, last_stage):
        data = receipt.encode()
        if put is None:
            store.put_if_absent(path, data)
        else:
            put(path, data)


def _receipts(
    settings: RunConfig, num_shards: int, last_stage: str
) -> Iterator[tuple[str, Receipt]]:
    corpus = corpus_of_run(settings, CORPUS)
    archive = _done(download_place(corpus, ShardKey(CORPUS, ARCHIVES, 0)), ("0" * 64,))
    yield archive
    planned = tuple(
        PlannedShard(index=index, digest=_sha256("plan", index), num_rows=_ROWS, hours=_HOURS)
        for index in range(num_shards)
    )
    names = fingerprints(settings, corpus)
    plan = Place(stage="plan", fingerprint=names["plan"], key=ShardKey(CORPUS, SPLIT, 0))
    yield _done(plan, (archive[1].output.sha256,), planned=planned)
    stages = shard_stages(settings, CORPUS, "train")
    for shard in planned:
        made: dict[str, str] = {}
        for stage in stages[: stages.index(last_stage) + 1]:
            inputs = stage_named(stage).inputs
            sources = tuple(made.get(name, shard.digest) for name in inputs if name != "index")
            key = ShardKey(CORPUS, SPLIT, shard.index)
            path, receipt = _done(Place(stage=stage, fingerprint=names[stage], key=key), sources)
            made[stage] = receipt.output.sha256
            yield path, receipt


def receipt_of(place: Place) -> Receipt:
    """A receipt of a shard that was never made."""
    return _done(place, ("0" * 64,))[1]


def _done(
    place: Place, sources: tuple[str, ...], planned: tuple[PlannedShard, ...] = ()
) -> tuple[str, Receipt]:
    sha256 = _sha256(place.stage, place.key.index)
    source_digest = combined_digest(sources)
    receipt = Receipt(
        stage=place.stage,
        fingerprint=place.fingerprint,
        key=place.key,
        source_digest=source_digest,
        output=FileRef(
            path=place.file_path(sha256, "parquet"), sha256=sha256, size_bytes=1, num_rows=_ROWS
        ),
        counts=Counts(rows_in=_ROWS, rows_out=_ROWS - 1, dropped={"wer": 1}),
        hours=_HOURS,
        planned=planned,
        sources=sources,
        recorded={"seconds": 1.0},
        finished_at="2026-01-01T00:00:00+00:00",
    )
    return place.receipt_path(source_digest), receipt


def _sha256(*words: str | int) -> str:
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()

"""The stage `score` reads what its receipts name, or nothing."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from configs.load import load_config
from storage.errors import IntegrityError
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.sink import hash_file
from storage.stage import Place
from storage.store import Store
from tasks.job import Inputs, Job
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.score.stage import SCORE


def test_a_damaged_reference_is_found_before_it_is_compared(tmp_path: Path) -> None:
    files = {}
    for name, schema in (("label", LABELS), ("normalise", NORMALISED)):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(schema.empty_table(), path)
        files[name] = FileRef(
            path=path.name, sha256=hash_file(path), size_bytes=path.stat().st_size
        )
    key = ShardKey("librispeech", "train-clean-100", 0)
    job = Job(
        place=Place(stage="score", fingerprint="f", key=key),
        sources=(files["label"].sha256,),
        inputs=files,
    )
    config, store = load_config("configs/tiny.yaml"), Store(str(tmp_path))
    with ExitStack() as opened:
        assert SCORE.make_shard is not None
        SCORE.make_shard(Inputs(config, store, job, opened))
        wrong = files["normalise"].model_copy(update={"sha256": "0" * 64})
        damaged = replace(job, inputs={**files, "normalise": wrong})
        with pytest.raises(IntegrityError, match=r"normalise\.parquet"):
            SCORE.make_shard(Inputs(config, store, damaged, opened))

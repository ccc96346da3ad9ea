"""Models that share an encoder encode held-out speech once, and no word depends on it."""

import copy
import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from configs.schema import RunConfig, Score
from storage.errors import UserError
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.evaluate.engine import evaluation_engine, load_model
from tasks.evaluate.models import student_model
from tasks.evaluate.shard import measure_shard
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.model import LoadedWhisper


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig.model_validate(
        {
            "root": str(tmp_path),
            "corpora": {"librispeech": {}},
            "label": {"teacher": {"path": "unused"}},
            "publish": {"name": "x"},
        }
    )


@pytest.fixture
def speech(row, normalised) -> pa.RecordBatch:
    return normalised(*(row(f"u{index}", 9_000 + 7_000 * index) for index in range(4)))


@pytest.fixture
def num_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of windows that went through an encoder."""
    counts = [0]
    encode = EncoderLayers.__call__

    def counted(self: EncoderLayers, features: torch.Tensor) -> torch.Tensor:
        counts[0] += len(features) == 1
        return encode(self, features)

    monkeypatch.setattr(EncoderLayers, "__call__", counted)
    return counts


def measured(config: RunConfig, store: Store, model: LoadedWhisper, speech) -> pa.Table:
    engine = evaluation_engine(config, store, model)
    label = config.label.model_copy(update={"max_new_tokens": 12})
    return pa.Table.from_batches(measure_shard([speech], engine, lambda text: text, label, Score()))


def student_of(teacher: LoadedWhisper) -> LoadedWhisper:
    """A model with the same encoder and another decoder."""
    model = copy.deepcopy(teacher.model)
    with torch.no_grad():
        model.model.decoder.layers[0].fc1.weight.neg_()
    return dataclasses.replace(teacher, model=model)


def test_two_models_encode_once_and_transcribe_as_without_a_cache(
    config, store, tiny_teacher, speech, num_encoded
) -> None:
    runtime = config.runtime.model_copy(update={"encoder_cache_gb": 0.0})
    uncached = config.model_copy(update={"runtime": runtime})
    models = (tiny_teacher, student_of(tiny_teacher))
    expected = [measured(uncached, store, model, speech) for model in models]
    assert num_encoded == [2 * 4]
    assert expected[0] != expected[1]
    assert [measured(config, store, model, speech) for model in models] == expected
    assert num_encoded == [3 * 4]


def test_a_trained_encoder_is_not_cached(config, store, tiny_teacher, speech, num_encoded) -> None:
    distil = config.distil.model_copy(update={"freeze_encoder": False})
    trained = config.model_copy(update={"distil": distil})
    for _ in range(2):
        measured(trained, store, tiny_teacher, speech)
    assert num_encoded == [2 * 4]
    assert not list(store.scratch_folder().rglob("*.f32"))


def test_a_damaged_student_of_another_run_is_repaired_there(
    config: RunConfig, tmp_path: Path
) -> None:
    """Its file has a path below another root, in which no command for this run looks."""
    evaluate = config.evaluate.model_validate({"models": {"small": {"run": "other run.yaml"}}})
    config = config.model_copy(update={"evaluate": evaluate})
    gone = FileRef(path="distil/f00d/student-a/model", sha256="a" * 64, size_bytes=1)
    receipt = Receipt(
        stage="distil",
        fingerprint="f00d",
        key=ShardKey("all", "x", 1),
        source_digest="0" * 64,
        output=gone,
        counts=Counts(),
    )
    model = student_model(receipt, name="small", root=str(tmp_path / "other"))
    again = r"again: distillery repair 'other run\.yaml' distil/f00d/student-a/model"
    with pytest.raises(UserError, match=rf"^evaluate\.models\.small: .*{again}$"):
        load_model(config, Store(config.root), model)

"""What recreates each kind of stored file, and with which command."""

import pytest

from flows.state.repair import Kind, again_command, producer_of, repair_command, with_command
from storage.errors import IntegrityError, UserError
from storage.shard import ShardKey
from tasks.run import ShardFailed

FOLDER = "librispeech/9d265b374a4d70dd/train-clean-100"
SHARD = "librispeech/train-clean-100/00007"


@pytest.mark.parametrize(
    ("path", "kind", "stage", "key"),
    [
        ("raw/ami/r1/archives/00003.854b1899.ihm train.tar", "shard", "download",
         "ami/archives/00003"),
        ("raw/ami/r1/archives/00003.3e48b541.index.parquet", "shard", "download",
         "ami/archives/00003"),
        ("raw/hub/r1/archives/00000.3e48b541.listing.json", "shard", "download",
         "hub/archives/00000"),
        (f"plan/{FOLDER}/00007.854b1899.receipt.json", "shard", "plan", SHARD),
        (f"normalise/{FOLDER}/00007.2590de85.parquet", "shard", "normalise", SHARD),
        (f"label/{FOLDER}/00007.2590de85.quarantine.parquet", "shard", "label", SHARD),
        (f"filter/{FOLDER}/123456.2590de85.parquet", "shard", "filter",
         "librispeech/train-clean-100/123456"),
        (f"index/{FOLDER}/00007.failure.json", "failure record", "index", SHARD),
        (f"score/{FOLDER}/ec358093e4b2c9ee.summary.json", "summary", "score", None),
        (f"score/{FOLDER}/1234567890123456.summary.json", "summary", "score", None),
        (f"evaluate/teacher-7f7f81ae/{FOLDER}/00007.831de622.parquet", "shard", "evaluate", SHARD),
        ("manifests/tiny/00003.json", "manifest", "publish", "all/tiny/00003"),
        ("manifests/tiny/00003.md", "card", "publish", "all/tiny/00003"),
        ("distil/a886/checkpoints/step-00000002/files.json", "checkpoint", "distil", None),
        ("distil/a886/checkpoints/step-00000002/e2806721.state.json", "checkpoint", "distil", None),
        ("distil/a886/student-e2806721/model.safetensors", "student", "distil", None),
        ("distil/a886/student.receipt.json", "student", "distil", None),
        ("reports/tiny/31d7b4d4c3b6ec7c.json", "report", "evaluate", None),
        ("reports/tiny/31d7b4d4c3b6ec7c.parquet", "totals", "evaluate", None),
    ],
)  # fmt: skip
def test_each_stored_file_has_a_producer(path: str, kind: str, stage: str, key: str | None) -> None:
    found = producer_of(path)
    assert (found.kind, found.stage) == (Kind(kind), stage)
    assert found.key == (key and ShardKey.parse(key))


@pytest.mark.parametrize(
    "path", ["", "label", "../label/x", "download/a/b/c/00000.x.parquet", "mirror/audio/1.flac"]
)
def test_other_files_have_none(path: str) -> None:
    with pytest.raises(UserError, match="is not a stored file"):
        producer_of(path)
    error = IntegrityError("audio/1.flac ends before byte 7", path)
    assert str(with_command("tiny.yaml", error)) == str(error)


def test_commands_can_be_pasted() -> None:
    path = "raw/ami/r1/archives/00003.854b1899.ihm train.tar"
    assert repair_command("my run.yaml", path) == f"distillery repair 'my run.yaml' '{path}'"


def test_the_command_repairs_the_damaged_input_and_not_its_reader() -> None:
    key, path = ShardKey.parse(SHARD), f"normalise/{FOLDER}/00007.2590de85.parquet"
    damaged = ShardFailed("label", key, f"{path} has another digest", path)
    assert again_command("tiny.yaml", damaged) == f"distillery repair tiny.yaml {path}"
    other = ShardFailed("label", key, "out of memory")
    assert again_command("tiny.yaml", other) == f"distillery rerun tiny.yaml label {SHARD}"


def test_an_error_has_its_command_once() -> None:
    path = "manifests/tiny/00003.json"
    once = with_command("tiny.yaml", IntegrityError(f"{path} is damaged", path))
    assert str(once) == f"{path} is damaged; again: distillery repair tiny.yaml {path}"
    assert str(with_command("tiny.yaml", once)) == str(once)
    assert str(with_command("other.yaml", once)) == str(once), "the first command is kept"
    assert once.path == path

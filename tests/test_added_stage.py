"""Adding a stage takes a folder and a line: done to a copy of the code, it appears everywhere."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows.running import REPOSITORY, TEACHER
from tests.prefect_server import SHARED
from tests.processes import environment

STAGE = '''"""The stage `loudness`: the peak of each utterance."""

from typing import Final

import numpy as np
import pyarrow as pa

from storage.schema import row_ids
from tasks.audio import decode_flac
from tasks.job import Inputs, Output
from tasks.stage import Resource, Scope, Stage, is_trained_on

SCHEMA: Final = pa.schema([pa.field("id", pa.string()), pa.field("peak", pa.float64())])


def _make(inputs: Inputs) -> Output:
    rows = inputs.table("normalise", ["id", "audio"])
    peaks = [float(np.abs(decode_flac(one["bytes"])).max()) for one in rows["audio"].to_pylist()]
    made = pa.record_batch([rows["id"].combine_chunks(), pa.array(peaks)], schema=SCHEMA)
    return Output(row_ids(rows), iter([made]))


LOUDNESS: Final = Stage(
    name="loudness",
    version=1,
    scope=Scope.SHARD,
    resource=Resource.CPU,
    inputs=("normalise",),
    schema=SCHEMA,
    applies=is_trained_on,
    make_shard=_make,
)
'''
SHARD = "librispeech/train-clean-100/00000"


@dataclass(frozen=True)
class Added:
    """A copy of the code with one more stage, and a run of it that is published."""

    code: Path
    folder: Path

    def command(self, *words: str) -> str:
        """A command line, in which CONFIG stands for the configuration."""
        return self.python("from flows.commands.app import main; main()", *words)

    def python(self, code: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *("tiny.yaml" if w == "CONFIG" else w for w in words)],
            cwd=self.folder,
            env=environment(
                **SHARED.started().client_settings, PYTHONPATH=str(self.code), COLUMNS="200"
            ),
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.command(*words, "--json"))


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Added:
    code, folder = tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("run")
    for package in ("configs", "storage", "tasks", "flows"):
        shutil.copytree(
            REPOSITORY / package, code / package, ignore=shutil.ignore_patterns("*.safetensors")
        )
    (code / "tasks" / "loudness").mkdir()
    (code / "tasks" / "loudness" / "__init__.py").write_text('"""How loud speech is."""\n')
    (code / "tasks" / "loudness" / "stage.py").write_text(STAGE)
    stages = code / "tasks" / "stages.py"
    text = stages.read_text()
    text = text.replace(
        "from tasks.normalise.stage",
        "from tasks.loudness.stage import LOUDNESS\nfrom tasks.normalise.stage",
    )
    stages.write_text(text.replace("    FILTER,\n", "    LOUDNESS,\n    FILTER,\n"))
    settings = yaml.safe_load((REPOSITORY / "configs" / "tiny.yaml").read_text())
    settings["label"]["teacher"]["path"] = str(TEACHER)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    found = Added(code, folder)
    found.command("run", "CONFIG", "--until", "publish")
    return found


pytestmark = pytest.mark.slow


def test_it_runs_and_status_counts_it(added: Added) -> None:
    lines = [
        line for line in added.json("status", "CONFIG")["stages"] if line["stage"] == "loudness"
    ]
    assert [(line["split"], line["shards"]["missing"]) for line in lines] == [
        ("train-clean-100", 0)
    ]
    assert lines[0]["rows_out"] == lines[0]["rows_in"] > 0


def test_the_plan_counts_it(added: Added) -> None:
    assert added.json("run", "CONFIG", "--plan")["total"]["shards_to_do"]["loudness"] == 0


def test_the_manifest_names_its_files_and_its_fingerprint(added: Added) -> None:
    content = added.json("manifest", "show", "CONFIG")["content"]
    assert all("loudness" in entry["files"] for entry in content["entries"])
    assert content["fingerprints"]["loudness"].keys() == {"librispeech"}
    assert content["parameters"]["librispeech"]["loudness"] == {"version": 1}


def test_a_shard_of_it_can_be_made_again(added: Added) -> None:
    (receipt,) = (added.folder / "tiny-data" / "loudness").rglob("00000.*.receipt.json")
    before = json.loads(receipt.read_text())["output"]
    receipt.unlink()
    added.command("rerun", "CONFIG", "loudness", SHARD)
    assert json.loads(receipt.read_text())["output"] == before


def test_gc_knows_its_files(added: Added) -> None:
    assert "0 files" in added.command("gc", "CONFIG", "--grace-hours", "0")
    folder = next((added.folder / "tiny-data" / "loudness").rglob("*.parquet")).parent
    garbage = folder / "00000.deadbeef.parquet"
    garbage.write_bytes(b"left by a writer that was killed")
    assert str(garbage.relative_to(added.folder / "tiny-data")) in added.command(
        "gc", "CONFIG", "--grace-hours", "0"
    )
    garbage.unlink()


def test_explain_shows_its_row(added: Added) -> None:
    ids = added.json("explain", "CONFIG", "--reason", "wer")
    story = added.json("explain", "CONFIG", ids[0]["id"])
    assert 0 < story["stages"]["loudness"]["peak"] <= 1
    assert "peak" in added.command("explain", "CONFIG", ids[0]["id"])


def test_it_is_deployed_and_offered_in_the_forms(added: Added) -> None:
    code = (
        "import json, sys\n"
        "from configs.load import load_config\n"
        "from flows.server.deployments import deployments_of\n"
        "found = deployments_of(sys.argv[1], load_config(sys.argv[1]), None)\n"
        "print(json.dumps({one.flow.name: one.form['properties'] for one in found}))\n"
    )
    forms = json.loads(added.python(code, "CONFIG"))
    assert forms["loudness"]["corpus"]["enum"] == ["librispeech"]
    assert "loudness" in forms["distillery"]["until"]["enum"]
    assert "loudness" in forms["rerun-shard"]["stage"]["enum"]

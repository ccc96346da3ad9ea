"""One flipped bit in every kind of stored file: found, named, and repaired by what is printed.

The commands are those of an operator: one that uses the file says which file is damaged and how to
recreate it; that command is run as it is printed; then a run is green, with the same manifest.
"""

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from configs.load import load_config
from flows.state.corpus_state import corpus_states
from flows.state.models import student_receipt_path, validation_audio
from flows.state.publication import find_current
from storage.receipt import Receipt
from storage.store import Store
from tasks.distil.make import make_student_of
from tasks.distil.progress.rows import TrainingRow
from tasks.stages import STAGE_NAMES
from tests.builders import flac, noise, untimed
from tests.faults.report import Report
from tests.faults.trial import CONFIG, Finished, Trial, outputs
from tests.faults.warm import WarmRuns
from tests.flows.running import tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KEY = "librispeech/train-clean-100/00000"
TRAIN = "*/*/train-clean-100/00000"
TABLE = "????????.parquet"
NUM_FLIPS = 3
RERUN_NORMALISE = ("rerun", CONFIG, "normalise", KEY)
RERUN_FILTER = ("rerun", CONFIG, "filter", KEY)
STATUS = ("status", CONFIG)
VERIFY = ("manifest", "verify", CONFIG)

TOLD = {
    "raw archive": ("raw/*/*/archives/00000.*.tar", RERUN_NORMALISE),
    "raw index": ("raw/*/*/archives/00000.*.index.parquet", ("rerun", CONFIG, "plan", KEY)),
    "download receipt": ("raw/*/*/archives/00000.*.receipt.json", STATUS),
    "plan table": (f"plan/{TRAIN}.{TABLE}", RERUN_NORMALISE),
    "plan receipt": (f"plan/{TRAIN}.*.receipt.json", STATUS),
    "normalised table": (f"normalise/{TRAIN}.{TABLE}", ("rerun", CONFIG, "label", KEY)),
    "normalise receipt": (f"normalise/{TRAIN}.*.receipt.json", STATUS),
    "label table": (f"label/{TRAIN}.{TABLE}", VERIFY),
    "label receipt": (f"label/{TRAIN}.*.receipt.json", STATUS),
    "score table": (f"score/{TRAIN}.{TABLE}", RERUN_FILTER),
    "score receipt": (f"score/{TRAIN}.*.receipt.json", STATUS),
    "index table": (f"index/*/*/dev-clean/00000.{TABLE}", RERUN_FILTER),
    "index receipt": ("index/*/*/dev-clean/00000.*.receipt.json", STATUS),
    "filter table": (f"filter/{TRAIN}.{TABLE}", VERIFY),
    "filter receipt": (f"filter/{TRAIN}.*.receipt.json", STATUS),
    "quarantine table": (
        f"normalise/{TRAIN}.*.quarantine.parquet",
        ("explain", CONFIG, "--reason", "too_long"),
    ),
    "manifest": ("manifests/tiny/00001.json", ("manifest", "show", CONFIG)),
    "card": ("manifests/tiny/00001.md", ("manifest", "show", CONFIG, "--card")),
    "student receipt": ("distil/*/student.receipt.json", STATUS),
    "evaluation receipt": ("evaluate/student-*/*/*/*/00000.*.receipt.json", STATUS),
}
"""What says that a file of each kind is damaged."""

MENDED = {
    "plan table": (f"plan/{TRAIN}.{TABLE}", f"normalise/{TRAIN}.*.receipt.json"),
    "raw index": ("raw/*/*/archives/00000.*.index.parquet", f"plan/{TRAIN}.*.receipt.json"),
    "raw archive": ("raw/*/*/archives/00000.*.tar", f"normalise/{TRAIN}.*.receipt.json"),
    "normalised table": (f"normalise/{TRAIN}.{TABLE}", f"label/{TRAIN}.*.receipt.json"),
    "label receipt": (f"label/{TRAIN}.*.receipt.json", ""),
    "manifest": ("manifests/tiny/00001.json", ""),
    "report": ("reports/tiny/*.json", ""),
    "student": ("distil/*/student-*/model.safetensors", "evaluate/student-*.receipt.json"),
    "transcripts": (f"evaluate/teacher-*/*/*/*/00000.{TABLE}", "reports/*"),
}
"""What a run that uses a file repairs itself; the second pattern is what the run has to make."""

CHECKPOINT = ["files.json", "*.weights.safetensors", "*.state.json"]


def flip(trial: Trial, pattern: str, at: float = 0.5) -> str:
    """Flip a bit, by default in the middle, of the first file that matches; returns its path."""
    path = next(iter(trial.files(pattern)))
    data = bytearray(trial.files(path)[path])
    data[int(len(data) * at)] ^= 1
    trial.put({path: bytes(data)})
    return path


def delete(trial: Trial, paths: Iterable[str]) -> None:
    for path in paths:
        (trial.data / path).unlink()


def printed(text: str) -> list[str]:
    """The words of the one command that was printed, without `distillery`."""
    (command,) = set(re.findall(r"again: (distillery .+)", text))
    program, *words = shlex.split(command)
    assert program == "distillery"
    return words


def said(trial: Trial, *words: str) -> str:
    """What a command prints, whatever its exit status."""
    started = trial.warm.start(trial.folder, words)
    started.wait()
    return started.log.read_text()


def copied(finished: Finished, folder: Path) -> Trial:
    trial = finished.begin(folder, STAGE_NAMES[0], retries=0)
    trial.put(finished.files)
    return trial


def check_green(finished: Finished, trial: Trial) -> None:
    trial.command("run", CONFIG)
    assert [one["number"] for one in trial.json("manifest", "list")] == [1]
    assert trial.json("manifest", "show")["digest"] == finished.digest
    trial.command(*VERIFY)


@pytest.mark.parametrize("kind", TOLD)
def test_the_printed_command_repairs_a_damaged_file(
    finished: Finished, kind: str, tmp_path: Path
) -> None:
    told_and_repaired(finished, *TOLD[kind], tmp_path, at=0.5)


def told_and_repaired(
    finished: Finished, pattern: str, use: Sequence[str], folder: Path, at: float
) -> None:
    """Flip a bit in a file that matches, and do what the command that uses it says."""
    folder.mkdir(exist_ok=True)
    trial = copied(finished, folder)
    path = flip(trial, pattern, at)
    told = trial.command(*use, expect=1)
    assert path in told
    command = printed(told)
    assert command == ["repair", CONFIG, path]
    assert "repaired: " in trial.command(*command)
    assert "is not damaged" in trial.command(*command)
    assert "damaged" not in trial.command(*use)
    check_green(finished, trial)


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", TOLD)
def test_flipped_bits(finished: Finished, kind: str, tmp_path: Path, report: Report) -> None:
    """A flipped bit in a stored file"""
    report.seed = 21
    random = Random(f"{report.seed} {kind}")
    pattern, use = TOLD[kind]
    if kind == "raw archive":  # shards do not use every byte of it
        use = (*VERIFY, "--raw")
    for number in range(NUM_FLIPS):
        told_and_repaired(finished, pattern, use, tmp_path / str(number), random.random())
    outcome = "found, named, repaired by the printed command, same manifest"
    report.add(kind, NUM_FLIPS, outcome)


@pytest.mark.parametrize("kind", MENDED)
def test_a_run_repairs_what_it_finds_damaged_and_says_so(
    finished: Finished, kind: str, tmp_path: Path
) -> None:
    pattern, pending = MENDED[kind]
    trial = copied(finished, tmp_path)
    path = flip(trial, pattern)
    delete(trial, trial.files(pending) if pending else ())
    told = trial.command("run", CONFIG)
    assert f"repaired 1 damaged: {path}" in told
    check_green(finished, trial)


def test_a_run_tries_to_repair_once(finished: Finished, tmp_path: Path) -> None:
    trial = copied(finished, tmp_path)
    settings = yaml.safe_load((tmp_path / CONFIG).read_text())
    settings["runtime"]["max_quarantined_percent"] = 0
    (tmp_path / CONFIG).write_text(yaml.safe_dump(settings))
    damaged = [flip(trial, path) for path in trial.files(f"normalise/*/*/train-*/?????.{TABLE}")]
    delete(trial, trial.files("label/*.receipt.json"))
    told = trial.command("run", CONFIG, "--until", "publish", expect=1)
    assert "damaged, and not all made again: " in told
    assert all(path in told for path in damaged)
    assert "failed: normalise" in told and "repaired" not in told
    assert f"again: distillery rerun {CONFIG} normalise" in told
    assert told.rstrip().endswith(f"then: distillery run {CONFIG} --until publish")
    settings["runtime"]["max_quarantined_percent"] = 50
    (tmp_path / CONFIG).write_text(yaml.safe_dump(settings))
    check_green(finished, trial)


def test_a_damaged_summary_is_not_used_and_written_anew(finished: Finished, tmp_path: Path) -> None:
    trial = copied(finished, tmp_path)
    path = flip(trial, f"score/{Path(TRAIN).parent}/*.summary.json")
    assert untimed(trial.json("status")) == finished.status
    assert "repaired: summary" in trial.command("repair", CONFIG, path)
    check_green(finished, trial)


def test_a_damaged_record_of_a_failure_still_says_that_the_shard_failed(
    finished: Finished, tmp_path: Path
) -> None:
    trial = copied(finished, tmp_path)
    flip(trial, f"plan/{TRAIN}.{TABLE}")
    delete(trial, trial.files(f"normalise/{TRAIN}.*.receipt.json"))
    command = printed(trial.command(*RERUN_NORMALISE, expect=1))
    assert printed(said(trial, *STATUS)) == command
    path = flip(trial, "normalise/*/*/*/*.failure.json")
    assert "the record of the failure is damaged" in said(trial, *STATUS)
    trial.command("repair", CONFIG, path)
    assert "Failed shards" not in trial.command(*STATUS)
    check_green(finished, trial)


def test_what_a_file_is_made_of_is_repaired_before_it(finished: Finished, tmp_path: Path) -> None:
    trial = copied(finished, tmp_path)
    paths = [flip(trial, f"{stage}/{TRAIN}.{TABLE}") for stage in ("plan", "normalise", "label")]
    told = trial.command("repair", CONFIG, paths[-1])
    assert all(f"{stage} {KEY}" in told for stage in ("plan", "normalise", "label"))
    check_green(finished, trial)


def test_a_plan_of_which_a_part_is_missing_is_made_again(
    finished: Finished, tmp_path: Path
) -> None:
    trial = copied(finished, tmp_path)
    [(path, data)] = trial.files(f"plan/{TRAIN}.*.receipt.json").items()
    part = Receipt.parse(data, path)
    later = part.model_copy(update={"key": replace(part.key, index=1)})
    delete(trial, [path])
    path = path.replace("/00000.", "/00001.")
    trial.put({path: later.encode()})
    command = printed(trial.command(*STATUS, expect=1))
    assert command == ["repair", CONFIG, path]
    trial.command(*command)
    check_green(finished, trial)


def test_a_manifest_of_other_shards_must_come_from_a_backup(
    finished: Finished, tmp_path: Path
) -> None:
    trial = copied(finished, tmp_path)
    settings = yaml.safe_load((tmp_path / CONFIG).read_text())
    settings["filter"]["max_wer_percent"] = 0
    (tmp_path / CONFIG).write_text(yaml.safe_dump(settings))
    path = flip(trial, "manifests/tiny/00001.json")
    for words in (("repair", CONFIG, path), ("run", CONFIG, "--until", "publish")):
        told = trial.command(*words, expect=2)
        assert f"{path} is damaged and cannot be recreated" in told
        assert "restore it from a backup" in told


def test_a_file_of_other_settings_is_left_alone(finished: Finished, tmp_path: Path) -> None:
    trial = copied(finished, tmp_path)
    settings = yaml.safe_load((tmp_path / CONFIG).read_text())
    settings["filter"]["max_wer_percent"] = 0
    (tmp_path / CONFIG).write_text(yaml.safe_dump(settings))
    path = flip(trial, f"filter/{TRAIN}.{TABLE}")
    before = trial.files()
    told = trial.command("repair", CONFIG, path, expect=2)
    assert "repair it with the configuration that made it" in told
    assert trial.files() == before


class Interrupted(Exception):
    """Ends a training between two checkpoints."""


@pytest.fixture(scope="module")
def training(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """The files of a run whose training was interrupted after a checkpoint."""
    trial = copied(finished, tmp_path_factory.mktemp("training"))
    for pattern in ("distil/*", "evaluate/student-*", "reports/*"):
        delete(trial, trial.files(pattern))
    settings = load_config(trial.folder / CONFIG)
    store = Store(settings.root)
    states = corpus_states(settings, store)
    published, speech = find_current(settings, store, states), validation_audio(states)
    assert published is not None

    def stop(row: TrainingRow) -> None:
        if row.step == 3:
            raise Interrupted

    path = student_receipt_path(settings, published, speech)
    with pytest.raises(Interrupted):
        make_student_of(settings, store, published, path, speech, stop)
    return trial.files()


@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_training_goes_on_without_a_damaged_checkpoint(
    finished: Finished, training: Mapping[str, bytes], name: str, tmp_path: Path
) -> None:
    trial = finished.begin(tmp_path, STAGE_NAMES[0], retries=0)
    trial.put(training)
    path = flip(trial, f"distil/*/checkpoints/step-00000002/{name}")
    assert f"repaired 1 damaged: {path}" in trial.command("run", CONFIG)
    assert outputs(trial) == finished.outputs
    check_green(finished, trial)


def test_a_damaged_listing_of_the_hub_is_made_again(warm: WarmRuns, tmp_path: Path) -> None:
    mirror, name = tmp_path / "mirror", "00000.parquet"
    mirror.mkdir()
    audio = [{"bytes": flac(noise(16_000, seed=seed)), "path": None} for seed in range(3)]
    pq.write_table(pa.table({"audio": audio, "text": ["one", "two", "three"]}), mirror / name)
    checksum = hashlib.sha256((mirror / name).read_bytes()).hexdigest()
    (mirror / "SHA256SUMS").write_text(f"{checksum}  {name}\n")
    trial = Trial(warm, tmp_path)
    settings = yaml.safe_load(tiny(tmp_path).config.read_text())
    del settings["synthetic"]
    local = {"hub": "someone/speech", "splits": {"train": {"files": ["*.parquet"]}}}
    corpus = {"mirror": str(mirror), "checksums": "sha256sums", "local": local}
    settings |= {"root": str(trial.data), "corpora": {"speech": corpus}}
    (tmp_path / CONFIG).write_text(yaml.safe_dump(settings))
    trial.command("run", CONFIG, "--until", "plan")
    before = outputs(trial)
    path = flip(trial, "raw/*.listing.json")
    command = printed(trial.command(*STATUS, expect=1))
    assert command == ["repair", CONFIG, path]
    assert "repaired: download speech/archives/00000" in trial.command(*command)
    trial.command("run", CONFIG, "--until", "plan")
    assert outputs(trial) == before

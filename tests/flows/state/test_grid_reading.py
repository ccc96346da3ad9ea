"""What is read of a grid whose training speech is incomplete, or whose records are damaged."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from configs.evaluate import STUDENT, TEACHER
from configs.grid_runs import load_grid
from flows.state.corpus_state import corpus_states
from flows.state.evaluation.current_report import evaluation_of, trained_on
from flows.state.evaluation.measured_models import measured_models
from flows.state.evaluation.measurements import measurements
from flows.state.grid.reading import read_grid
from flows.state.models import student_receipt_path
from flows.state.publication import publish_manifest
from flows.state.summary import read_summary
from storage.errors import IntegrityError, UserError
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.stage import combined_digest
from storage.store import Store
from tasks.demo.formats.flac import flac_file
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.download.raw import download
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.pooled import ModelResult
from tasks.stages import SHARD_STAGES
from tasks.work import run_job, run_plan
from tests.flows.running import TEACHER as TEACHER_FOLDER
from tests.flows.running import Run

SPLITS = ("first", "second", "held")
BASE = {
    "root": "calls-data",
    "corpora": {
        "calls": {
            "mirror": "audio",
            "local": {
                "splits": {
                    name: {
                        "files": [f"{name}/*.flac"],
                        "role": "test" if name == "held" else "train",
                    }
                    for name in SPLITS
                }
            },
        }
    },
    "normalise": {"max_duration_s": 8.0},
    "label": {"teacher": {"path": str(TEACHER_FOLDER)}, "pack": "none", "temperatures": [0.0]},
    "publish": {"name": "calls", "allow_missing_shards": True},
    "distil": {"num_epochs": 4, "batch_size": 1},
}
RUN = "grid.yaml:calls-lenient"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A grid of one run, made up to the filter, but for the labels of the split `second`."""
    random = np.random.default_rng(3)
    for number, split in enumerate(SPLITS):
        one = utterance(f"speaker {number}", random, None)
        audio = tmp_path / "audio" / split / "1.flac"
        audio.parent.mkdir(parents=True)
        audio.write_bytes(flac_file(pcm16(one.samples), 16_000))
        audio.with_suffix(".txt").write_text(one.transcript)
    made = Run(tmp_path, tmp_path / "calls.yaml")
    made.config.write_text(yaml.safe_dump(BASE))
    runs = {"lenient": {"filter.max_wer_percent": 1000}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"base": "calls.yaml", "runs": runs}))
    monkeypatch.chdir(tmp_path)
    settings = load_grid("grid.yaml").runs[0].settings
    store = Store(settings.root)
    [state] = corpus_states(settings, store)
    for part in state.downloads.missing().values():
        download(store, state.corpus, state.settings, part)
    [state] = corpus_states(settings, store)
    for key, archives in state.unplanned_splits().items():
        run_plan(settings, state.place("plan", key), archives)
    for stage in SHARD_STAGES:
        [state] = corpus_states(settings, store)
        for shard in state.pending(stage):
            if stage == "normalise" or shard.key.split == "first":
                run_job(settings, state.job(shard, stage))
    return made


def evaluated(store: Store) -> None:
    """Publish what there is of the run, with records of a student and of its evaluation."""
    settings = load_grid("grid.yaml").runs[0].settings
    published, _ = publish_manifest(settings, store)
    states = corpus_states(settings, store)
    path = student_receipt_path(settings, published, [])
    folder = path.rpartition("/")[0]
    student = Receipt(
        stage="distil",
        fingerprint=folder.rpartition("/")[2],
        key=ShardKey("all", published.name, published.number),
        source_digest=published.digest,
        output=FileRef(path=f"{folder}/student-a/model", sha256="a" * 64, size_bytes=1),
        counts=Counts(),
        recorded={"best_step": 3},
    )
    store.put_if_absent(path, student.encode())
    for one in measurements(settings, store, states, student):
        place, source = one.job.place, combined_digest(one.job.sources)
        measured = Receipt(
            stage="evaluate",
            fingerprint=place.fingerprint,
            key=place.key,
            source_digest=source,
            output=FileRef(path=f"{place.folder}/a", sha256="b" * 64, size_bytes=1),
            counts=Counts(rows_in=1, rows_out=1),
        )
        store.put_if_absent(place.receipt_path(source), measured.encode())
    found = measurements(settings, store, states, student)
    evaluation = evaluation_of(settings, states, found, trained_on(published))
    report = Report(
        teacher=result(TEACHER, 4.0),
        student=result(STUDENT, 5.0),
        relative_speed=2.0,
        by_corpus={"calls": {TEACHER: 4.0, STUDENT: 5.0}},
        coverage=Coverage.total(evaluation.coverage.values()),
        coverage_by_corpus=evaluation.coverage,
        student_folder=f"{folder}/student-a",
    )
    store.put_if_absent(evaluation.path(settings), report.encode())


def result(name: str, wer_percent: float) -> ModelResult:
    return ModelResult(
        model=name, num_parameters=7, decoder_layers=1, num_utterances=1, hours=0.1,
        num_reference_words=9, wer_percent=wer_percent, substitution_percent=wer_percent,
        deletion_percent=0.0, insertion_percent=0.0, num_repeated_5grams=0, seconds=1.0,
    )  # fmt: skip


def test_results_are_shown_although_shards_are_missing_that_may_be(run: Run) -> None:
    grid, store = load_grid("grid.yaml"), Store("calls-data")
    [row] = read_grid(grid, store, mends=False).rows
    assert (row.pending, row.hours, row.wer_percent) == ("label", None, None)
    evaluated(store)
    report = read_grid(grid, store, mends=False)
    [row] = report.rows
    assert (row.pending, row.wer_percent, row.best_step) == ("label", 5.0, 3)
    assert (row.num_windows, row.num_steps, row.kept_percent) == (1, 4, 100.0)
    assert report.teacher_wer_percent == 4.0


def test_a_model_that_is_not_there_leaves_a_run_readable(run: Run) -> None:
    """Neither a further model that was moved nor another run that is not trained."""
    evaluated(Store("calls-data"))
    Path("other one.yaml").write_text(yaml.safe_dump({**BASE, "root": "other-data"}))
    for further in ({"path": "moved"}, {"run": "other one.yaml"}):
        evaluate = {"models": {"small": further}}
        run.config.write_text(yaml.safe_dump({**BASE, "evaluate": evaluate}))
        grid, store = load_grid("grid.yaml"), Store("calls-data")
        [row] = read_grid(grid, store, mends=False).rows
        assert (row.wer_percent, row.best_step) == (None, 3)
        settings = grid.runs[0].settings
        assert not read_summary(settings, store, corpus_states(settings, store)).report


def test_the_student_of_another_run_is_asked_for_by_the_command_that_trains_it(run: Run) -> None:
    Path("other one.yaml").write_text(yaml.safe_dump({**BASE, "root": "other-data"}))
    evaluate = {"models": {"small": {"run": "other one.yaml"}}}
    run.config.write_text(yaml.safe_dump({**BASE, "evaluate": evaluate}))
    settings = load_grid("grid.yaml").runs[0].settings
    student = Receipt(
        stage="distil",
        fingerprint="a",
        key=ShardKey("all", "calls", 1),
        source_digest="0" * 64,
        output=FileRef(path="distil/a/student-a/model", sha256="a" * 64, size_bytes=1),
        counts=Counts(),
    )
    with pytest.raises(UserError, match=r"`distillery run 'other one\.yaml' --until distil`"):
        list(measured_models(settings, student))


def test_a_plan_leaves_damaged_records_as_they_are(run: Run) -> None:
    grid, store = load_grid("grid.yaml"), Store("calls-data")
    for stage, config in (("filter", RUN), ("normalise", "calls.yaml")):
        [damaged] = Path("calls-data", stage, "calls").rglob("first/*.receipt.json")
        damaged.write_text("{")
        told = run.here("grid", "grid.yaml", "--plan", expect=1).stderr
        path = damaged.relative_to("calls-data")
        assert f"; again: distillery repair {config} {path}" in told.replace("\n", " ")
        assert told.count("again: ") == 1
        assert damaged.read_text() == "{"
        with pytest.raises(IntegrityError):
            read_grid(grid, store, mends=False)
    [row] = read_grid(grid, store, mends=True).rows
    assert (row.pending, damaged.exists()) == ("normalise", False)

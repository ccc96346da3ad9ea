"""Held-out speech is measured whatever its length; what is not measured is counted and shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from configs.evaluate import TEACHER
from configs.schema import RunConfig
from flows.commands.views.evaluate import report_view
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.evaluation.current_report import evaluation_of
from flows.state.evaluation.measurements import (
    Measurement,
    evaluation_coverage,
    measurements,
)
from flows.tables.figures import Figures
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.download.raw import download
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.report import make_report
from tasks.evaluate.result import Report
from tasks.text.comparison import normaliser
from tasks.work import run_job, run_plan
from tests.tasks.whisper.tiny_ctc import save_tiny_ctc

TEACHER_FOLDER = Path(__file__).parents[2] / "tasks" / "demo" / "teacher"
RATE_HZ = 16_000
WINDOW_S = 8.0


def write_speech(path: Path, num_sentences: int) -> str:
    """A recording with its transcript beside it; returns the transcript."""
    random = np.random.default_rng(sum(path.stem.encode()))
    spoken = [utterance("ann", random, None) for _ in range(num_sentences)]
    pause = np.zeros(RATE_HZ // 2, np.float32)
    parts = [part for one in spoken for part in (one.samples, pause)]
    soundfile.write(path, pcm16(0.5 * np.concatenate(parts)), RATE_HZ)
    text = " ".join(one.transcript for one in spoken)
    path.with_suffix(".txt").write_text(text)
    return text


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and test recordings: some long, one of 0.05 s, some that cannot be used."""
    folder = tmp_path_factory.mktemp("talks")
    for split in ("train", "test"):
        (folder / split).mkdir()
        for name, num_sentences in (("short", 1), ("long", 9)):
            write_speech(folder / split / f"{split}-{name}.wav", num_sentences)
    test = folder / "test"
    soundfile.write(test / "blip.wav", np.full(RATE_HZ // 20, 0.1), RATE_HZ)
    (test / "blip.txt").write_text("oh")
    soundfile.write(test / "hummed.wav", np.full(RATE_HZ, 0.1), RATE_HZ)
    (test / "hummed.txt").write_text("hmm")
    soundfile.write(test / "without-text.wav", np.full(RATE_HZ, 0.1), RATE_HZ)
    (test / "broken.wav").write_bytes(b"RIFF, but no more than that")
    (test / "broken.txt").write_text("nobody can tell")
    return folder


@pytest.fixture(scope="module")
def config(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    splits = {name: {"files": [f"{name}/*.wav"], "role": name} for name in ("train", "test")}
    return RunConfig.model_validate(
        {
            "root": str(tmp_path_factory.mktemp("root")),
            "corpora": {"talks": {"mirror": str(mirror), "local": {"splits": splits}}},
            "normalise": {"max_duration_s": WINDOW_S},
            "label": {"teacher": {"path": str(TEACHER_FOLDER)}},
            "publish": {"name": "talks"},
            "evaluate": {
                "num_timing_rounds": 1,
                "timing_batch_sizes": [1],
                "num_timed_utterances": 3,
            },
            "runtime": {"workers": 1, "max_quarantined_percent": 50},
        }
    )


@pytest.fixture(scope="module")
def normalised(config: RunConfig) -> Mapping[str, Receipt]:
    """The receipts of the normalised shards, by split."""
    state = CorpusState.open(config, "talks")
    for part in state.downloads.missing().values():
        download(state.store, state.corpus, state.settings, part)
    for key, archives in CorpusState.open(config, "talks").unplanned_splits().items():
        run_plan(config, state.place("plan", key), archives)
    shards = CorpusState.open(config, "talks").pending("normalise")
    return {shard.key.split: run_job(config, state.job(shard, "normalise")) for shard in shards}


@pytest.fixture(scope="module")
def student(config: RunConfig) -> Receipt:
    """The demo's teacher as a student."""
    store = Store(config.root)

    def put(name: str) -> FileRef:
        with store.sink("distil") as sink:
            sink.write((TEACHER_FOLDER / name).read_bytes())
            return store.keep(sink, f"distil/student/{name}")

    weights, *beside = sorted(
        (path.name for path in TEACHER_FOLDER.glob("*.[js]*")), key="model.safetensors".__ne__
    )
    return Receipt(
        stage="distil",
        fingerprint="f00d",
        key=ShardKey("all", "talks", 1),
        source_digest="0" * 64,
        output=put(weights),
        beside=tuple(map(put, beside)),
        counts=Counts(),
    )


def measure(config: RunConfig, student: Receipt) -> list[Measurement]:
    store = Store(config.root)
    for one in measurements(config, store, corpus_states(config, store), student):
        run_job(config, one.job)
    return measurements(config, store, corpus_states(config, store), student)


@pytest.fixture(scope="module")
def report(config: RunConfig, normalised: Mapping[str, Receipt], student: Receipt) -> Report:
    store = Store(config.root)
    found = measure(config, student)
    evaluation = evaluation_of(config, corpus_states(config, store), found, ["talks"])
    return make_report(config, store, evaluation)


def rows(config: RunConfig, file: FileRef) -> dict[str, dict[str, Any]]:
    with Store(config.root).fetch(file) as path:
        return {row["id"].split("/")[-1]: row for row in pq.read_table(path).to_pylist()}


def test_the_limits_on_duration_are_those_of_training_speech(
    config: RunConfig, normalised: Mapping[str, Receipt]
) -> None:
    train, test = normalised["train"], normalised["test"]
    assert train.counts.dropped == {"too_long": 1}
    assert set(rows(config, train.output)) == {"train-short"}
    assert test.counts.dropped == {}
    found = rows(config, test.output)
    assert set(found) == {"test-short", "test-long", "blip", "hummed"}
    assert found["test-long"]["duration_s"] > 2 * WINDOW_S
    assert found["blip"]["duration_s"] == 0.05


def test_a_long_test_utterance_is_transcribed_to_its_end(
    config: RunConfig, mirror: Path, report: Report, student: Receipt
) -> None:
    (one,) = (found for found in measure(config, student) if found.model.name == TEACHER)
    assert one.receipt is not None
    measured = rows(config, one.receipt.output)
    assert set(measured) == {"test-short", "test-long", "blip"}
    text = (mirror / "test" / "test-long.txt").read_text()
    long = measured["test-long"]
    assert long["reference"] == normaliser("english")(text)
    assert long["hits"] > 0.6 * long["num_reference_words"]
    assert long["deletions"] < 0.2 * long["num_reference_words"]


def test_what_is_not_measured_is_counted_by_reason(report: Report) -> None:
    coverage = Coverage(
        num_annotated=6,
        num_utterances=3,
        excluded={"empty_reference": 1, "no_text": 1, "unreadable_audio": 1},
    )
    assert report.coverage == report.coverage_by_corpus["talks"] == coverage
    assert report.teacher.num_utterances == report.student.num_utterances == 3


def test_the_table_shows_it_beside_the_word_error_rate(report: Report) -> None:
    parts = list(report_view(report).parts)
    (table,) = (
        one for one in parts if isinstance(one, Figures) and one.title.startswith("Evaluation on")
    )
    ((name, num_utterances, *_),) = table.rows
    assert (name, num_utterances) == ("talks/test", "3")
    start = parts.index("Evaluated: 3 of 6 utterances")
    assert parts[start + 1 : start + 3] == [
        "Not evaluated:",
        "  talks: empty_reference 1, no_text 1, unreadable_audio 1",
    ]


def test_the_rates_of_splits_and_their_mean_are_stated(report: Report) -> None:
    rates = {"teacher": report.teacher.wer_percent, "student": report.student.wer_percent}
    assert report.by_split == {"talks/test": rates}
    assert report.mean_wer_percent == report.by_corpus["talks"] == rates


def test_both_models_are_timed_on_windows_of_long_recordings_too(report: Report) -> None:
    assert report.teacher.seconds is not None and report.teacher.seconds > 0
    assert report.relative_speed > 0


def test_shards_beyond_the_limit_on_hours_are_counted(
    config: RunConfig, report: Report, student: Receipt
) -> None:
    """A limited evaluation states what it leaves out."""
    plan = {"target_shard_hours": 1e-4}  # a recording each
    limited = RunConfig.model_validate(
        config.model_dump(mode="json")
        | {"plan": plan, "evaluate": {"limit_hours": 1e-4, "num_timing_rounds": 1}}
    )
    store = Store(limited.root)
    state = CorpusState.open(limited, "talks")
    for key, archives in state.unplanned_splits().items():
        run_plan(limited, state.place("plan", key), archives)
    first, *later = CorpusState.open(limited, "talks").shards("test")
    run_job(limited, state.job(first, "normalise"))
    states = corpus_states(limited, store)
    found = measurements(limited, store, states, student)
    for one in found:
        run_job(limited, one.job)
    found = measurements(limited, store, states, student)
    (coverage,) = evaluation_coverage(limited, states, found).values()
    assert coverage.num_annotated == 6
    assert coverage.excluded["beyond_limit_hours"] == sum(one.planned.num_rows for one in later) > 0


@pytest.fixture(scope="module")
def complete(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The same run with every condition, and the teacher once more as a further model."""
    hum = tmp_path_factory.mktemp("hum")
    wave = 0.1 * np.sin(np.arange(RATE_HZ) / 20)
    soundfile.write(hum / "hum.wav", wave, RATE_HZ)
    evaluate = {
        "num_timing_rounds": 1,
        "timing_batch_sizes": [1],
        "models": {"again": {"path": str(TEACHER_FOLDER)}},
        "long_form": {"chunk_s": 6.0},
        "noise": {
            "kinds": ["white"],
            "folders": {"hum": str(hum)},
            "snr_db": [10],
            "num_utterances": 2,
        },
    }
    return RunConfig.model_validate(config.model_dump(mode="json") | {"evaluate": evaluate})


@pytest.fixture(scope="module")
def measured_shards(
    complete: RunConfig, normalised: Mapping[str, Receipt], student: Receipt
) -> list[Measurement]:
    return measure(complete, student)


@pytest.fixture(scope="module")
def complete_report(complete: RunConfig, measured_shards: list[Measurement]) -> Report:
    store = Store(complete.root)
    states = corpus_states(complete, store)
    return make_report(complete, store, evaluation_of(complete, states, measured_shards, []))


CONDITIONS = ("clean", "chunked", "sequential", "white_10db", "hum_10db")


def test_each_model_is_measured_under_each_condition(measured_shards: list[Measurement]) -> None:
    found = [(one.model.name, one.condition.name) for one in measured_shards]
    assert sorted(found) == sorted(
        (model, condition) for model in ("teacher", "student", "again") for condition in CONDITIONS
    )
    # models with one encoder follow each other, so that its output is computed once
    assert found[:4] == [
        ("teacher", "clean"),
        ("student", "clean"),
        ("teacher", "chunked"),
        ("student", "chunked"),
    ]


def test_no_utterance_is_lost_under_any_condition(measured_shards: list[Measurement]) -> None:
    for one in measured_shards:
        assert one.receipt is not None
        counts = one.receipt.counts
        assert counts.rows_in == 4
        assert counts.rows_out == 4 - sum(counts.dropped.values())
        if one.condition.algorithm is not None:
            assert counts.dropped["not_long_form"] == 2
        elif one.condition.noise is not None:
            assert counts.dropped["not_sampled"] == 2


def test_noise_is_added_at_the_ratio_that_the_name_says(
    complete: RunConfig, measured_shards: list[Measurement]
) -> None:
    for one in measured_shards:
        if one.receipt is None or one.condition.noise is None:
            continue
        ratios = [row["snr_db"] for row in rows(complete, one.receipt.output).values()]
        assert ratios and all(abs(ratio - 10) < 0.1 for ratio in ratios)


def test_long_form_is_about_recordings_beyond_a_window(
    complete: RunConfig, measured_shards: list[Measurement]
) -> None:
    for one in measured_shards:
        if one.receipt is None or one.condition.algorithm is None:
            continue
        (recording,) = rows(complete, one.receipt.output).values()
        assert recording["duration_s"] > WINDOW_S
        assert recording["hits"] > 0.6 * recording["num_reference_words"]


def test_the_same_model_has_the_same_results_under_another_name(complete_report: Report) -> None:
    def results(model: str) -> list[dict[str, Any]]:
        rows = [one for one in complete_report.sets if one.model == model]
        return [one.model_dump(exclude={"model"}) for one in rows]

    assert len(results("teacher")) == len(CONDITIONS)
    assert sorted(map(str, results("again"))) == sorted(map(str, results("teacher")))
    differences = [one.difference for one in complete_report.comparisons if one.model == "again"]
    assert differences and not any(differences)


def test_the_report_tries_every_claim(complete_report: Report) -> None:
    assert len(complete_report.claims) >= 10
    verdicts = {one.name: one.verdict for one in complete_report.claims}
    assert verdicts["speculative_identical"] == "holds"
    assert {one.part for one in complete_report.speed} == {
        "end_to_end",
        "decoder",
        "chunked",
        "sequential",
    }
    assert {one.kind for one in complete_report.non_speech} == {"silence", "white", "hum"}


def test_models_with_other_windows_have_the_same_long_recordings(
    complete: RunConfig,
    normalised: Mapping[str, Receipt],
    student: Receipt,
    tmp_path: Path,
) -> None:
    """The recording is longer than the teacher's 8 s, not than the 30 s of a CTC model."""
    evaluate = {
        "num_timing_rounds": 1,
        "timing_batch_sizes": [4],
        "num_timed_utterances": 2,
        "models": {"letters": {"path": str(save_tiny_ctc(tmp_path)), "engine": "ctc"}},
        "long_form": {"algorithms": ["chunked"], "chunk_s": 6.0},
    }
    config = RunConfig.model_validate(complete.model_dump(mode="json") | {"evaluate": evaluate})
    store = Store(config.root)
    found = measure(config, student)
    report = make_report(
        config, store, evaluation_of(config, corpus_states(config, store), found, [])
    )
    long = [one for one in report.sets if one.condition == "chunked"]
    assert {one.model for one in long} == {"teacher", "student", "letters"}
    assert {(one.num_utterances, one.hours) for one in long} == {(1, long[0].hours)}
    speed = {(one.model, one.part, one.batch_size) for one in report.speed}
    assert ("letters", "chunked", 16) in speed and ("letters", "end_to_end", 4) in speed

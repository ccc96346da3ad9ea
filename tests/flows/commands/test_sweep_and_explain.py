"""`distillery sweep` and `distillery explain`, by the command line on a run that is finished."""

import json
import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from configs.load import load_config
from flows.state.keep_rate import Share, abnormal
from flows.state.sweep import Sweep, SweepLine
from flows.state.utterances.history import read_history
from storage.store import Store
from tasks.audio import decode
from tasks.filter.sweep import Amount
from tests.flows.running import Run, copied, tiny
from tests.processes import environment

OWN = 10.0


def table_of(path: Path, *columns: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path, columns=list(columns) or None).to_pylist()
    return rows


def files(run: Run, stage: str, *, rejected: bool = False) -> list[Path]:
    found = (run.root / stage).rglob("*.parquet")
    return sorted(path for path in found if ("quarantine" in path.name) == rejected)


def sweep_of(run: Run, thresholds: str) -> dict[tuple[str, float], dict[str, Any]]:
    result = run.distillery("sweep", "tiny.yaml", "--thresholds", thresholds, "--json").stdout
    return {(line["corpus"], line["max_wer_percent"]): line for line in json.loads(result)["lines"]}


def explained(run: Run, id: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run.distillery("explain", "tiny.yaml", id, "--json").stdout)
    return result


def assert_line_is_published(result: dict[str, Any], totals: dict[str, Any]) -> None:
    """Check a line of a sweep against the totals of the manifest that its threshold gives."""
    for name in ("windows", "utterances"):
        assert result[f"kept_{name}"] == totals[name]
    assert result["kept_hours"] == pytest.approx(totals["hours"])
    assert result["kept_windows"] + result["dropped_windows"] == totals["windows_heard"]


def test_a_sweep_predicts_what_is_published_at_a_threshold(finished: Run, stricter: Run) -> None:
    result = sweep_of(finished, "0,30,250")
    for number, percent in ((1, OWN), (2, 0.0)):
        words = ("manifest", "show", "tiny.yaml", str(number), "--json")
        totals = json.loads(stricter.distillery(*words).stdout)["totals"]
        for corpus in ("librispeech", "all"):
            assert_line_is_published(result[corpus, percent], totals[corpus])
    for (_, percent), line in result.items():
        assert line["is_configured"] == (percent == OWN)
    kept = [result["all", percent]["kept_windows"] for percent in (0.0, OWN, 30.0, 250.0)]
    assert kept == sorted(kept) and kept[0] < kept[-1]


@pytest.mark.slow
def test_a_sweep_predicts_what_a_run_at_each_threshold_publishes(
    finished: Run, tmp_path: Path
) -> None:
    copied(finished, tmp_path)
    result = sweep_of(finished, "30,250")
    expensive = {stage: finished.receipts(stage) for stage in ("normalise", "label", "score")}
    for percent in (30.0, 250.0):
        other = tiny(tmp_path, filter={"max_wer_percent": percent})
        other.run("--until", "publish")
        totals = other.json("manifest", "show")["totals"]
        for corpus in ("librispeech", "all"):
            assert_line_is_published(result[corpus, percent], totals[corpus])
        assert {stage: other.receipts(stage) for stage in expensive} == expensive


def test_a_sweep_has_the_paper_s_figures_and_is_written_to_files(
    finished: Run, tmp_path: Path
) -> None:
    parquet, plot = tmp_path / "sweep.parquet", tmp_path / "sweep.svg"
    words = ("sweep", "tiny.yaml", "--parquet", str(parquet), "--plot", str(plot))
    shown = finished.distillery(*words).stdout
    assert "54.6" in shown and "10 *" in shown
    rows = table_of(parquet)
    assert [row["paper_kept_percent"] for row in rows if row["corpus"] == "all"] == [
        39.7, 54.6, 68.0, 75.8, 88.1, 93.8, 100.0,
    ]  # fmt: skip
    assert rows == json.loads(finished.distillery("sweep", "tiny.yaml", "--json").stdout)["lines"]
    names = re.findall(r">([^<>]+)</", plot.read_text())
    assert {"librispeech", "all", "paper"} <= set(names)


def test_a_sweep_reports_mistakes(finished: Run, tmp_path: Path) -> None:
    for words, problem in [
        (("--thresholds", "5,many"), "thresholds are '5,many'"),
        (("--thresholds", "-1"), "expected percentages of at least 0"),
        (("--plot", "sweep.png"), "must name an .svg file"),
    ]:
        assert problem in finished.distillery("sweep", "tiny.yaml", *words, expect=2).stderr
    assert (
        "nothing is scored yet" in tiny(tmp_path).distillery("sweep", "tiny.yaml", expect=2).stderr
    )


def shares(**kept_percents: float) -> Sweep:
    lines = [
        SweepLine(corpus, 10.0, Amount(1, 1, percent), Amount(1, 1, 100 - percent), True)
        for corpus, percent in kept_percents.items()
    ]
    return Sweep([*lines, SweepLine("all", 10.0, Amount(1, 1, 1.0), Amount(9, 9, 99.0), True)], [])


def test_an_abnormal_share_is_reported() -> None:
    assert shares(ami=31, fisher=60, tedlium=62, voxpopuli=100).remarks == []
    [result] = shares(ami=30, fisher=60, tedlium=64, voxpopuli=99).remarks
    assert "ami keeps 30.0 %" in result and "less than half of the median" in result
    [result] = shares(ami=41, fisher=20, tedlium=18).remarks
    assert "ami keeps 41.0 %" in result and "more than twice the median" in result
    [result] = shares(ami=27).remarks
    assert "less than half of the paper's share, 54.6 %" in result
    assert shares(ami=28, fisher=100).remarks == []


@pytest.mark.parametrize("command", ["sweep", "explain"])
def test_neither_imports_a_model(finished: Run, command: str) -> None:
    words = [command, "tiny.yaml"]
    if command == "explain":
        words.append(table_of(files(finished, "label")[0], "window_id")[0]["window_id"])
    code = (
        f"import sys; sys.argv = ['distillery', *{words!r}]; import flows.commands.app\n"
        "try: flows.commands.app.main()\n"
        "finally: assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=finished.folder, env=environment(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


def test_a_share_is_compared_with_earlier_ones() -> None:
    share = Share("ami", 60.0, 10.0)
    assert abnormal([share], {"ami": [55.0, 65.0, 52.0]}) == []
    [result] = abnormal([share], {"ami": [80.0, 82.0]})
    assert result == "abnormal: ami keeps 60.0 % of its hours at 10 %, before it was 81.0 %"
    assert abnormal([Share("ami", 0.0, 10.0)], {"ami": [0.0]}) == []
    assert abnormal([Share("ami", 0.0, 10.0)], {}) != []


def test_a_corpus_that_keeps_less_than_before_is_reported_after_a_run(
    finished: Run, tmp_path: Path
) -> None:
    run = copied(finished, tmp_path)
    victim = table_of(files(run, "filter")[0], "window_id")
    listed = {"ids": [row["window_id"] for row in victim]}
    taken = tiny(tmp_path, filter={"takedown": listed})
    result = taken.run("--until", "publish").stdout
    assert "abnormal: librispeech keeps" in result and "before it was" in result
    assert "abnormal: librispeech keeps" in taken.distillery("sweep", "tiny.yaml").stdout
    rejected = json.loads(
        taken.distillery("explain", "tiny.yaml", "--reason", "takedown", "--json").stdout
    )
    assert {row["id"] for row in rejected} == set(listed["ids"])
    expensive = ("normalise", "label", "score")
    assert {stage: taken.receipts(stage) for stage in expensive} == {
        stage: finished.receipts(stage) for stage in expensive
    }
    manifest = sorted((taken.root / "manifests").rglob("00002.json"))[0].read_text()
    assert not any(name in manifest for name in listed["ids"])


def test_a_kept_utterance_is_explained_from_source_to_decision(finished: Run) -> None:
    [name] = table_of(files(finished, "filter")[0], "utterance_ids")[0]["utterance_ids"]
    history = explained(finished, name)
    assert history["decision"] == {"outcome": "kept", "stage": "filter", "reason": "", "detail": ""}
    assert history["corpus"] == "librispeech" and history["shard"].startswith("librispeech/train-")
    assert history["source"]["size"] > 0
    assert history["utterance"]["duration_s"] == history["label"]["duration_s"]
    assert history["reference"] and history["label"]["window_id"] == name
    parts = [one["reference"] for one in history["alignment"] if one["reference"]]
    assert " ".join(parts) == history["evidence"]["reference"]
    shown = finished.distillery("explain", "tiny.yaml", name).stdout
    assert history["utterance"]["raw_text"] in shown and "kept at filter" in shown


def test_a_rejected_utterance_is_explained_with_stage_and_reason(finished: Run) -> None:
    store, settings = Store(str(finished.root)), load_config(finished.config)
    settings = settings.model_copy(update={"root": str(finished.root)})
    reasons = set()
    for stage in ("plan", "normalise", "label", "score", "filter"):
        for path in files(finished, stage, rejected=True):
            for row in table_of(path):
                result = read_history(settings, store, row["id"]).decision
                assert result.model_dump() == {
                    "stage": stage, **{key: row[key] for key in ("outcome", "reason", "detail")},
                }  # fmt: skip
                reasons.add(row["reason"])
    assert {"wer", "too_long", "no_audio", "unreadable_audio", "empty_hypothesis"} <= reasons


def test_the_audio_of_an_utterance_is_written(finished: Run, tmp_path: Path) -> None:
    row = table_of(files(finished, "normalise")[0], "id", "duration_s", "audio")[-1]
    target = tmp_path / "utterance.wav"
    finished.distillery("explain", "tiny.yaml", row["id"], "--wav", str(target))
    with wave.open(str(target)) as written:
        assert written.getparams()[:3] == (1, 2, 16_000)
        samples = np.frombuffer(written.readframes(written.getnframes()), "<i2")
    assert len(samples) == round(row["duration_s"] * 16_000)
    assert (samples == decode(row["audio"]["bytes"]).samples[:, 0]).all()


def test_audio_that_is_not_stored_is_no_audio_to_write(finished: Run, tmp_path: Path) -> None:
    name = table_of(files(finished, "plan", rejected=True)[0], "id")[0]["id"]
    target = str(tmp_path / "none.wav")
    result = finished.distillery("explain", "tiny.yaml", name, "--wav", target, expect=2).stderr
    assert f"{name} has no stored audio: " in result
    result = finished.distillery(
        "explain", "tiny.yaml", "--reason", "wer", "--wav", target, expect=2
    ).stderr
    assert "leave out --reason" in result
    assert not (tmp_path / "none.wav").exists()


def test_all_rows_of_a_reason_are_listed(finished: Run) -> None:
    counted = sum(line["dropped"].get("wer", 0) for line in finished.json("status")["stages"])
    result = finished.distillery("explain", "tiny.yaml", "--reason", "wer", "--json").stdout
    rows = json.loads(result)
    assert len(rows) == counted > 1
    assert {row["stage"] for row in rows} == {"filter"}
    shown = finished.distillery("explain", "tiny.yaml", "--reason", "wer", "--limit", "1").stdout
    assert rows[0]["id"] in shown and f"{counted} rows: wer, {counted - 1} more" in shown
    early = finished.distillery("explain", "tiny.yaml", "--reason", "no_audio").stdout
    assert "plan: " in early
    result = finished.distillery("explain", "tiny.yaml", "--reason", "we", expect=2).stderr
    assert "nothing was rejected for 'we'; the reasons are" in result and "wer " in result
    assert "give the id" in finished.distillery("explain", "tiny.yaml", expect=2).stderr


def test_a_wrong_word_is_marked_without_colour(finished: Run) -> None:
    dropped = [row for path in files(finished, "filter", rejected=True) for row in table_of(path)]
    name = next(row["id"] for row in dropped if row["reason"] == "wer")
    shown = finished.distillery("explain", "tiny.yaml", name).stdout
    assert "[-" in shown or "{+" in shown
    assert "dropped at filter: wer (wer " in shown


def test_held_out_speech_is_explained_as_such(finished: Run) -> None:
    path = next(path for path in files(finished, "normalise") if "/test-clean/" in str(path))
    history = explained(finished, table_of(path, "id")[0]["id"])
    assert history["decision"]["outcome"] == "held_out"
    assert history["label"] is None


def test_what_is_not_filtered_yet_is_waiting(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    path = files(run, "filter")[0]
    name = table_of(path, "window_id")[0]["window_id"]
    for receipt in (run.root / "filter").rglob("*.json"):
        receipt.unlink()
    result = explained(run, name)["decision"]
    assert (result["outcome"], result["stage"]) == ("waiting", "filter")


def test_an_utterance_is_found_by_the_name_of_its_window(finished: Run) -> None:
    name = table_of(files(finished, "label")[0], "window_id")[0]["window_id"]
    assert explained(finished, f"{name}+3")["id"] == name


def test_an_unknown_id_is_answered_by_similar_ones(finished: Run) -> None:
    name = table_of(files(finished, "label")[0], "window_id")[0]["window_id"]
    result = finished.distillery("explain", "tiny.yaml", f"{name}x", expect=2).stderr
    assert (
        f"no planned utterance '{name}x' in the run" in result
        and "did you mean" in result
        and name in result
    )

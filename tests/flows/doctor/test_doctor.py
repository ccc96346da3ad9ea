"""The preflight checks, and the runs that are refused because of them; nothing is downloaded."""

import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import yaml
from typer.testing import CliRunner

from configs.schema import RunConfig
from flows.commands.app import app
from flows.doctor.check import Check
from flows.doctor.examine import ImpossibleRunError, examine, require_possible
from storage.store import Store
from tasks.distil.progress import choice
from tests.builders import flac, noise
from tests.file_server import serving
from tests.flows.running import TEACHER
from tests.hub_server import MEMBER, HubServer, hub_server

UNREACHABLE = "http://127.0.0.1:9"
CONFIG = "examined.yaml"
LOCAL = {"splits": {"train": {"files": ["*.flac"]}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mirror with a corpus of one's own."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "1.flac").write_bytes(flac(noise(16_000)))
    (mirror / "1.txt").write_text("one")
    return mirror


def settings(tmp_path: Path, corpora: dict[str, Any], **blocks: Any) -> dict[str, Any]:
    return {
        "root": str(tmp_path / "root"),
        "corpora": corpora,
        "label": {"teacher": {"path": str(TEACHER)}},
        "publish": {"name": "examined"},
        "runtime": {"device": "cpu"},
        **blocks,
    }


def config(tmp_path: Path, corpora: dict[str, Any], **blocks: Any) -> RunConfig:
    return RunConfig.model_validate(settings(tmp_path, corpora, **blocks))


def checks_of(found: RunConfig, subject: str) -> list[Check]:
    return [check for check in examine(found, CONFIG) if check.subject == subject]


def check_of(found: RunConfig, subject: str) -> Check:
    [check] = checks_of(found, subject)
    return check


def test_every_check_of_a_complete_configuration_is_ok(tmp_path: Path, folder: Path) -> None:
    found = examine(config(tmp_path, {"own": {"mirror": str(folder), "local": LOCAL}}), CONFIG)
    assert {check.state for check in found} == {"ok"}
    assert {check.subject for check in found} >= {"storage", "disk", "scratch", "teacher", "own"}
    assert not list((tmp_path / "root").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("blocks", "subject", "expected"),
    [
        ({"root": "memroy://x"}, "storage", "memroy"),
        ({"root": "/proc/nowhere"}, "storage", "/proc/nowhere"),
        ({"runtime": {"scratch": "/proc/nowhere"}}, "scratch", "/proc/nowhere"),
        ({"label": {"teacher": {"path": "nowhere"}}}, "teacher", "no teacher at 'nowhere'"),
        (
            {"label": {"teacher": {"path": str(TEACHER)}, "language": "xx"}},
            "teacher",
            "'xx'",
        ),
        ({"licence": "commercial", "corpora": {"tedlium": {}}}, "licence", "CC-BY-NC-ND-3.0"),
        ({"corpora": {"librispeach": {}}}, "librispeach", "no corpus 'librispeach'"),
        ({"corpora": {"tedlium": {"splits": ["dv"]}}}, "tedlium", "no split 'dv'"),
        ({"corpora": {"fisher": {}}}, "fisher", "LDC2004S13"),
        ({"corpora": {"common_voice": {}}}, "common_voice", "provided by hand"),
        ({"corpora": {"fisher": {"mirror": UNREACHABLE}}}, "fisher", "is read in place"),
        ({"corpora": {"tedlium": {"mirror": UNREACHABLE}}}, "tedlium", "cannot reach"),
    ],
)
def test_each_fault_is_a_problem_with_a_next_step(
    tmp_path: Path, blocks: dict[str, Any], subject: str, expected: str
) -> None:
    found = config(tmp_path, **{"corpora": {"tedlium": {"mirror": UNREACHABLE}}, **blocks})
    problems = [check for check in checks_of(found, subject) if check.state == "problem"]
    assert problems
    assert expected in problems[0].found
    assert problems[0].next_step or subject in ("storage", "scratch", "tedlium")


def test_a_missing_gpu_is_a_problem(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    own = {"own": {"mirror": str(folder), "local": LOCAL}}
    wanted = config(tmp_path, own, runtime={"device": "cuda"})
    assert check_of(wanted, "device").state == "problem"
    assert check_of(config(tmp_path, own, runtime={"device": "auto"}), "device").state == "ok"
    store = Store(wanted.root)
    require_possible(wanted, store, until="normalise")
    with pytest.raises(ImpossibleRunError, match="finds no GPU"):
        require_possible(wanted, store, until="label")


def test_a_tracker_that_is_not_installed_is_a_problem(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    own = {"own": {"mirror": str(folder), "local": LOCAL}}
    assert check_of(config(tmp_path, own), "trackers").found == "the training is followed by none"
    wanted = config(tmp_path, own, runtime={"device": "cpu", "trackers": ["mlflow"]})
    assert check_of(wanted, "trackers").next_step == "pip install accelerate mlflow"
    store = Store(wanted.root)
    require_possible(wanted, store, until="publish")
    with pytest.raises(ImpossibleRunError, match="pip install accelerate mlflow"):
        require_possible(wanted, store, until="distil")


def test_a_disk_that_is_too_small_is_a_problem(tmp_path: Path, folder: Path) -> None:
    local = {**LOCAL, "hours": 1e9}
    found = check_of(config(tmp_path, {"own": {"mirror": str(folder), "local": local}}), "disk")
    assert found.state == "problem"
    assert "limit_hours" in found.next_step


def test_missing_parts_of_a_delivery_are_named(tmp_path: Path) -> None:
    disc = tmp_path / "fisher" / "fe_03_p1_sph1" / "audio" / "000"
    disc.mkdir(parents=True)
    (disc / "fe_03_00001.sph").write_bytes(b"")
    found = checks_of(config(tmp_path, {"fisher": {"mirror": str(tmp_path / "fisher")}}), "fisher")
    expected = [check.found for check in found]
    assert not any("speech disc 1 of 7, part 1" in one for one in expected)
    assert any("missing: speech disc 2 of 7, part 1" in one for one in expected)
    assert any("nothing of LDC2005T19" in one for one in expected)
    assert all(check.next_step for check in found)


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path, folder: Path) -> None:
    splits = {**LOCAL["splits"], "test": {"files": ["held/*.flac"], "role": "test"}}
    own = {"own": {"mirror": str(folder), "local": {"splits": splits}}}
    [check] = checks_of(config(tmp_path, own), "own")
    assert (check.state, "held/*.flac" in check.found) == ("warning", True)


@pytest.mark.parametrize("text", ["{", "[]", '{"lang_to_id": [1]}', "\udcff"])
def test_damaged_settings_of_the_teacher_are_a_problem(
    tmp_path: Path, folder: Path, text: str
) -> None:
    shutil.copytree(TEACHER, tmp_path / "teacher")
    settings = tmp_path / "teacher" / "generation_config.json"
    settings.write_text(text, errors="surrogateescape")
    own = {"own": {"mirror": str(folder), "local": LOCAL}}
    teacher = {"teacher": {"path": str(tmp_path / "teacher")}}
    found = checks_of(config(tmp_path, own, label=teacher), "teacher")
    assert [check.state for check in found] == ["ok", "problem"]
    assert found[1].next_step == "copy the model again"


def test_transcribed_audio_that_matches_no_pattern_is_named(tmp_path: Path, folder: Path) -> None:
    own = {"own": {"mirror": str(folder), "local": LOCAL}}
    (folder / "notes.txt").write_text("no transcript")
    (folder / "2.wav").write_bytes(b"without a transcript")
    assert [check.state for check in checks_of(config(tmp_path, own), "own")] == ["ok"]
    (folder / "2.txt").write_text("two")
    [_, check] = checks_of(config(tmp_path, own), "own")
    assert (check.state, "1 files: 2.wav" in check.found) == ("warning", True)
    assert "corpora.own.local.splits" in check.next_step


def test_files_on_a_mirror_are_compared_by_name_and_size(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    chosen = {"mirror": str(mirror), "splits": ["train-clean-100", "dev-clean"]}
    published = config(tmp_path, {"librispeech": chosen})
    check = check_of(published, "librispeech")
    assert "train-clean-100.tar.gz, dev-clean.tar.gz" in check.found
    for name in ("train-clean-100.tar.gz", "dev-clean.tar.gz"):
        (mirror / name).write_bytes(b"small")
    assert "expected 6,387,309,499" in check_of(published, "librispeech").found
    own = config(tmp_path, {"librispeech": {**chosen, "checksums": "sha256sums"}})
    assert "SHA256SUMS" in check_of(own, "librispeech").found
    (mirror / "SHA256SUMS").write_text("")
    assert check_of(own, "librispeech").state == "ok"


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, int], list[str]]]:
    """A server with a status for each name, and the methods that it was asked by."""
    statuses: dict[str, int] = {}
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.command)
        request.send_response(statuses.get(request.path.lstrip("/"), 404))
        request.send_header("Content-Length", "1000")
        request.end_headers()

    with serving(answer) as url:
        yield url, statuses, asked


@pytest.mark.parametrize(
    ("status", "state", "expected"),
    [
        (200, "ok", "exists, the first of 2"),
        (401, "problem", "is gated"),
        (403, "problem", "is gated"),
        (404, "problem", "is not found"),
        (503, "warning", "answers 503"),
    ],
)
def test_only_the_first_file_of_a_server_is_requested(
    tmp_path: Path,
    server: tuple[str, dict[str, int], list[str]],
    status: int,
    state: str,
    expected: str,
) -> None:
    url, statuses, asked = server
    statuses["train-clean-360.tar.gz"] = status
    chosen = {"mirror": url, "splits": ["train-clean-360", "dev-other"]}
    check = check_of(config(tmp_path, {"librispeech": chosen}), "librispeech")
    assert check.state == state
    assert expected in check.found
    assert asked == ["HEAD"]


def test_an_unexpected_size_is_another_release(
    tmp_path: Path, server: tuple[str, dict[str, int], list[str]]
) -> None:
    url, statuses, _ = server
    statuses["dev-clean.tar.gz"] = 200
    chosen = {"mirror": url, "splits": ["dev-clean"]}
    check = check_of(config(tmp_path, {"librispeech": chosen}), "librispeech")
    assert "has 1,000 bytes, expected 337,926,286" in check.found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub on loopback with one data set; nobody is logged in."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    files = {"clean/train-0.parquet": b"PAR1", "README.md": b"read me"}
    with hub_server({"someone/speech": files}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def on_hub(tmp_path: Path, pattern: str = "clean/*.parquet") -> RunConfig:
    local = {"hub": "someone/speech", "splits": {"train": {"files": [pattern]}}}
    return config(tmp_path, {"own": {"local": local}})


def test_a_data_set_of_the_hub_is_listed(tmp_path: Path, hub: HubServer) -> None:
    check = check_of(on_hub(tmp_path), "own")
    assert (check.state, "someone/speech: 1 files" in check.found) == ("ok", True)
    check = check_of(on_hub(tmp_path, "dirty/*.parquet"), "own")
    assert (check.state, "no file dirty/*.parquet" in check.found) == ("problem", True)


def test_a_gated_data_set_needs_a_token(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated.add("someone/speech")
    check = check_of(on_hub(tmp_path), "own")
    assert (check.state, "gated" in check.found) == ("problem", True)
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert check_of(on_hub(tmp_path), "own").state == "ok"


def test_an_unreachable_hub_is_a_problem(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", UNREACHABLE)
    assert "cannot reach" in check_of(on_hub(tmp_path), "own").found


def test_a_gated_corpus_without_a_token_is_refused_without_a_request(
    tmp_path: Path, hub: HubServer
) -> None:
    gated = config(tmp_path, {"gigaspeech": {"form": "hub"}})
    with pytest.raises(ImpossibleRunError, match="gigaspeech is gated"):
        require_possible(gated, Store(gated.root))
    assert hub.requests == []


def test_an_impossible_run_is_refused_with_all_of_its_problems(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        {
            "fisher": {},
            "common_voice": {},
            "tedlium": {"mirror": str(tmp_path / "nowhere")},
            "librispeech": {"mirror": UNREACHABLE},
        },
        licence="commercial",
    )
    with pytest.raises(ImpossibleRunError) as raised:
        require_possible(found, Store(found.root))
    expected = raised.value.problems
    subjects = {one.partition(":")[0] for one in expected}
    assert subjects == {"licence", "fisher", "common_voice", "tedlium"}
    assert all("\n" not in one for one in expected)


def test_a_possible_run_is_not_refused(tmp_path: Path, folder: Path) -> None:
    own = {"own": {"mirror": str(folder), "local": LOCAL}}
    made = {"folder": "unused", "num_train_utterances": 1, "num_eval_utterances": 1}
    for found in (
        config(tmp_path, own),
        config(tmp_path, {"librispeech": {}, "voxpopuli": {"mirror": UNREACHABLE}}),
        config(tmp_path, {"fisher": {"mirror": "not-yet-made"}}, synthetic=made),
    ):
        require_possible(found, Store(found.root))


def test_the_command_prints_checks_and_sets_the_exit_status(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "run.yaml"
    own = {"own": {"mirror": str(folder), "local": LOCAL}}
    file.write_text(yaml.safe_dump(settings(tmp_path, own)))
    well = CliRunner().invoke(app, ["doctor", str(file)])
    assert (well.exit_code, "own: 2 files below" in well.stdout) == (0, True)
    file.write_text(yaml.safe_dump(settings(tmp_path, {**own, "fisher": {}})))
    ill = CliRunner().invoke(app, ["doctor", str(file), "--json"])
    assert ill.exit_code == 1
    states = {check["state"] for check in json.loads(ill.stdout) if check["subject"] == "fisher"}
    assert states == {"problem"}


def test_markup_in_messages_is_printed_literally(tmp_path: Path) -> None:
    (tmp_path / "fe_03_p1_sph1").mkdir()
    (tmp_path / "fe_03_p1_sph1" / "fe_03_00001.sph").write_bytes(b"")
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(settings(tmp_path, {"fisher": {"mirror": str(tmp_path)}})))
    assert "[hd]2" in CliRunner().invoke(app, ["doctor", str(file)]).stdout


def test_what_an_evaluation_needs_is_checked(tmp_path: Path, folder: Path) -> None:
    clips = tmp_path / "rain"
    clips.mkdir()
    (clips / "1.flac").write_bytes(flac(noise(16_000)))
    evaluate = {
        "models": {"again": {"path": str(TEACHER)}, "none": {"path": str(tmp_path / "none")}},
        "noise": {"folders": {"rain": str(clips)}},
    }
    found = config(tmp_path, {"tapes": {"mirror": str(folder), "local": LOCAL}}, evaluate=evaluate)
    problem = check_of(found, "evaluate")
    assert problem.state == "problem" and str(tmp_path / "none") in problem.found
    with pytest.raises(ImpossibleRunError, match="evaluate: no teacher at"):
        require_possible(found, Store(found.root))
    del evaluate["models"]["none"]
    found = config(tmp_path, {"tapes": {"mirror": str(folder), "local": LOCAL}}, evaluate=evaluate)
    assert check_of(found, "evaluate.models.again").state == "ok"
    assert check_of(found, "evaluate.noise").state == "ok"
    (clips / "2.flac").write_bytes(b"fLaC, but no more")
    assert "2.flac" in check_of(found, "evaluate").found
    require_possible(found, Store(found.root))
    require_possible(found, Store(found.root), until="publish")


def test_chunks_of_long_recordings_must_fit_into_every_window(tmp_path: Path, folder: Path) -> None:
    """The demo's teacher has windows of 8 s."""
    corpora = {"tapes": {"mirror": str(folder), "local": LOCAL}}
    evaluate = {"models": {"again": {"path": str(TEACHER)}}, "long_form": {"chunk_s": 15}}
    found = config(tmp_path, corpora, evaluate=evaluate)
    problems = checks_of(found, "evaluate.long_form")
    assert [(one.state, one.found) for one in problems] == [
        ("problem", f"chunk_s is 15, but the window of {name} has 8 s")
        for name in ("teacher", "again")
    ]
    assert problems[0].next_step == "set evaluate.long_form.chunk_s to at most 8"
    with pytest.raises(ImpossibleRunError, match="the window of again has 8 s"):
        require_possible(found, Store(found.root))
    for fitting in ({"chunk_s": 8}, {"chunk_s": 15, "algorithms": ["sequential"]}):
        found = config(tmp_path, corpora, evaluate={"long_form": fitting})
        require_possible(found, Store(found.root))
    newer = tmp_path / "newer"  # as a processor of transformers 5 is saved
    shutil.copytree(TEACHER, newer)
    features = json.loads((newer / "preprocessor_config.json").read_text())
    (newer / "preprocessor_config.json").unlink()
    (newer / "processor_config.json").write_text(json.dumps({"feature_extractor": features}))
    evaluate = {"models": {"newer": {"path": str(newer)}}, "long_form": {"chunk_s": 15}}
    found = config(tmp_path, corpora, evaluate=evaluate)
    assert len(checks_of(found, "evaluate.long_form")) == 2


def test_a_compiled_training_needs_a_compiler(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora = {"tapes": {"mirror": str(folder), "local": LOCAL}}
    found = config(tmp_path, corpora, runtime={"compile": True})
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert check_of(found, "compiler").state == "problem"
    with pytest.raises(ImpossibleRunError, match=r"there is no g\+\+ or clang\+\+; install"):
        require_possible(found, Store(found.root))
    require_possible(found, Store(found.root), until="publish")
    (programs / "g++").touch(mode=0o755)
    assert check_of(found, "compiler").state == "ok"
    require_possible(found, Store(found.root))

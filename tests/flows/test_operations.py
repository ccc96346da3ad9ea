"""Operation with real services: PostgreSQL, a server with a password, workers, S3 and the web UI.

The services start once, and the tests are in chronological order. A scheduled run fails; its shard
is redone from the browser; its retry publishes the same manifest as a local run. Another run loses
its worker, and completes although the server is killed too.
"""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
import yaml

from flows.state.rerun import RERUN_STAGES
from storage.receipt import Receipt
from storage.sink import hash_file
from tasks.stages import STAGE_NAMES
from tests import postgres
from tests.file_server import serving_files
from tests.flows import browser as ui
from tests.flows.installation import RUN_LIMIT_S, Installation, installed
from tests.flows.running import COMMAND, REPOSITORY, Run, copied, tiny
from tests.prefect_server import worker
from tests.processes import kill, wait_for
from tests.s3_servers import S3Server, bucket

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), postgres.NEEDED]

BUCKET = "nightly"
SHARD = "librispeech/train-clean-100/00000"
CRASH_LIMIT_S = 300.0
SAME = (
    "id", "name", "entrypoint", "tags", "parameters", "work_pool_name", "job_variables",
    "pull_steps", "description", "enforce_parameter_schema", "concurrency_options",
)  # fmt: skip
NUM_DEPLOYED = len(STAGE_NAMES) + 2  # the pipeline, each stage, and rerun-shard


@pytest.fixture(scope="module")
def installation(
    moto: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    bucket(moto, BUCKET)
    with installed(tmp_path_factory.mktemp("parts"), moto.environment) as made:
        yield made


@pytest.fixture(scope="module")
def orphan(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run whose process and worker were killed in the middle of a stage."""
    run = tiny(tmp_path_factory.mktemp("orphan"), publish={"name": "orphan"})
    installation.command(run.folder, "distillery", "deploy", run.config.name, "--cron", "")
    with worker(installation.server, "cpu", installation.folder) as started:
        identity = installation.begin("distillery/orphan")
        wait_for((run.root / "label").exists, RUN_LIMIT_S, "the stage label")
        kill(started)
    return run, identity


@pytest.fixture(scope="module")
def working(installation: Installation, orphan: tuple[Run, str]) -> Iterator[psutil.Process]:
    """The worker that replaces the killed one."""
    with worker(installation.server, "cpu", installation.folder, **installation.storage) as started:
        yield started


@pytest.fixture(scope="module")
def nightly(
    installation: Installation, working: object, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """The tiny configuration on S3, with one shard that has too many unreadable rows."""
    folder = tmp_path_factory.mktemp("nightly")
    run = tiny(folder, runtime={"max_quarantined_percent": 4.5})
    settings = yaml.safe_load(run.config.read_text())
    run.config.write_text(yaml.safe_dump({**settings, "root": f"s3://{BUCKET}/root"}))
    return run


@pytest.fixture(scope="module")
def failed_run(installation: Installation, nightly: Run) -> dict[str, Any]:
    """The scheduled run, after it has failed."""
    run = installation.on_its_schedule(nightly.folder, nightly.config.name, "distillery/tiny")
    return installation.ended(run)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ui.picture_folder(tmp_path_factory.getbasetemp())


@pytest.fixture
def logged_in(installation: Installation) -> Iterator[ui.Browser]:
    """A browser that is logged in."""
    if reason := ui.why_not():
        pytest.skip(reason)
    with ui.browser(installation.server) as made:
        yield made


def test_the_server_requires_its_password(installation: Installation) -> None:
    url = f"{installation.server.url}/api/flow_runs/filter"
    assert httpx.post(url, json={}).status_code == 401
    assert httpx.post(url, json={}, auth=("admin", "wrong")).status_code == 401
    settings = {**installation.settings, "PREFECT_API_AUTH_STRING": "admin:wrong"}
    done = subprocess.run(
        [str(COMMAND), "deploy", "tiny.yaml"],
        cwd=tiny(installation.folder).folder, env=settings, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "refuses the password; set PREFECT_API_AUTH_STRING" in done.stderr


def test_a_scheduled_run_appears_and_names_the_shard_that_failed(
    installation: Installation, failed_run: dict[str, Any]
) -> None:
    assert (failed_run["name"], failed_run["state_type"]) == ("distillery tiny.yaml", "FAILED")
    message = failed_run["state"]["message"]
    assert f"failed: normalise {SHARD}: 1 of 19 rows" in message
    assert f"again: distillery rerun tiny.yaml normalise {SHARD}" in message
    states = {run["name"]: run["state_type"] for run in installation.below(failed_run["id"])}
    assert states == {
        "download librispeech": "COMPLETED",
        "plan librispeech": "COMPLETED",
        "normalise librispeech": "FAILED",
        "label librispeech": "COMPLETED",
        "score librispeech": "COMPLETED",
        "filter librispeech": "COMPLETED",
        "publish": "FAILED",
    }


def test_the_tables_agree_with_status(
    installation: Installation, nightly: Run, failed_run: dict[str, Any]
) -> None:
    words = ("distillery", "status", "tiny.yaml", "--json")
    status = json.loads(installation.command(nightly.folder, *words, expect=1))
    artifacts = artifacts_of(installation)
    shown = {
        (row["stage"], row["corpus"], row["split"]): (row["done"], row["missing"], row["failed"])
        for row in json.loads(artifacts["tiny-status"]["data"])
    }
    assert shown == {
        (line["stage"], line["corpus"], line["split"]): tuple(line["shards"].values())
        for line in status["stages"]
    }
    [failure] = json.loads(artifacts["tiny-failed-shards"]["data"])
    assert (failure["stage"], failure["shard"]) == ("normalise", SHARD)
    assert failure["again"] == f"distillery rerun tiny.yaml normalise {SHARD}"
    assert failure["reason"] == status["failures"][0]["reason"]
    assert artifacts["tiny-normalise-librispeech"]["data"] == 75.0
    assert {row["corpus"] for row in json.loads(artifacts["tiny-hours"]["data"])} == {"librispeech"}
    assert "wer" in {row["reason"] for row in json.loads(artifacts["tiny-reasons"]["data"])}


def test_the_ui_shows_progress_tables_and_failures(
    installation: Installation, failed_run: dict[str, Any], logged_in: ui.Browser, pictures: Path
) -> None:
    logged_in.open(
        f"runs/flow-run/{failed_run['id']}", "distillery tiny.yaml", "Failed", "Artifacts"
    )
    assert is_picture(logged_in.photograph(pictures / "run.png", pause_s=8.0))
    found = artifacts_of(installation)
    for key, name, *texts in [
        ("tiny-status", "status", "Shards and rows by stage", "train-clean-100", "missing"),
        ("tiny-failed-shards", "failed", f"distillery rerun tiny.yaml normalise {SHARD}"),
        ("tiny-normalise-librispeech", "progress", "Progress: 75%", "3 of 4 shards"),
    ]:
        logged_in.open(f"artifacts/artifact/{found[key]['id']}", *texts)
        assert is_picture(logged_in.photograph(pictures / f"{name}.png"))


def test_a_failed_stage_is_reported_to_the_webhook(
    installation: Installation, failed_run: dict[str, Any]
) -> None:
    run = installation.begin("normalise/tiny", corpus="librispeech")
    assert installation.ended(run)["state_type"] == "FAILED"
    messages = wait_for(
        lambda: [one for one in installation.notified if run in one], 120, "a message"
    )
    text = json.loads(messages[0])["text"]
    assert text.startswith("Distillery: normalise librispeech failed\n")
    assert f"normalise {SHARD}: 1 of 19 rows" in text
    assert "run the deployment rerun-shard/tiny in the UI" in text
    assert "`distillery rerun tiny.yaml STAGE CORPUS/SPLIT/SHARD`" in text


@pytest.fixture(scope="module")
def retried_run(
    installation: Installation, nightly: Run, failed_run: dict[str, Any], tmp_path_factory: Any
) -> dict[str, Any]:
    """The failed run after its shard was redone through the API and the form, and a retry."""
    settings = yaml.safe_load(nightly.config.read_text())
    settings["runtime"]["max_quarantined_percent"] = 50
    nightly.config.write_text(yaml.safe_dump(settings))
    picture = ui.picture_folder(tmp_path_factory.getbasetemp()) / "rerun.png"
    return installation.redo_and_retry(failed_run["id"], "rerun-shard/tiny", SHARD, picture)


def test_the_retried_run_publishes_the_manifest_of_a_local_run(
    installation: Installation, nightly: Run, retried_run: dict[str, Any], finished: Run
) -> None:
    assert (retried_run["state_type"], retried_run["run_count"]) == ("COMPLETED", 2)
    words = ("distillery", "manifest", "show", "tiny.yaml", "--json")
    assert json.loads(installation.command(nightly.folder, *words))["digest"] == finished.digest
    results = artifacts_of(installation)["tiny-results"]["data"]
    assert f"s3://{BUCKET}/root/manifests/tiny/00001.json" in results
    assert f"digest `{finished.digest}`" in results
    assert "WER: teacher" in results


def test_a_retry_processes_only_what_is_missing(
    installation: Installation, retried_run: dict[str, Any]
) -> None:
    runs = [run["id"] for run in installation.below(retried_run["id"])]
    task_names = [
        task["name"]
        for task in installation.server.all("task_runs", flow_runs={"id": {"any_": runs}})
    ]
    other = SHARD.replace("00000", "00001")
    for stage in ("normalise", "label", "score", "filter"):
        assert task_names.count(f"{stage} {other}") == 1
    # normalise failed in the first run; label was redone from the browser before the retry
    assert [task_names.count(f"{stage} {SHARD}") for stage in ("normalise", "label", "score")] == [
        1,
        0,
        1,
    ]


def test_a_run_without_new_work_starts_no_subflows(
    installation: Installation, retried_run: dict[str, Any]
) -> None:
    run = installation.begin("distillery/tiny")
    assert installation.ended(run)["state_type"] == "COMPLETED"
    assert installation.below(run) == []


def test_the_form_offers_the_valid_choices_and_rejects_others(
    installation: Installation, retried_run: dict[str, Any]
) -> None:
    form = installation.deployments()["rerun-shard/tiny"]["parameter_openapi_schema"]["properties"]
    assert form["stage"]["enum"] == list(RERUN_STAGES)
    assert form["corpus"]["enum"] == ["librispeech"]
    assert form["split"]["enum"] == ["archives", "dev-clean", "test-clean", "train-clean-100"]
    for wrong in ({"stage": "labell"}, {"corpus": "tedlium"}, {"split": "dev"}, {"shard": -1}):
        valid = {"stage": "label", "corpus": "librispeech", "split": "dev-clean", "shard": 0}
        with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
            installation.begin("rerun-shard/tiny", **{**valid, **wrong})


def test_deploying_again_changes_nothing(
    installation: Installation, nightly: Run, retried_run: dict[str, Any]
) -> None:
    def registered() -> dict[str, Any]:
        return {
            "deployments": {name: one["id"] for name, one in installation.deployments().items()},
            "schedules": [len(one["schedules"]) for one in installation.deployments().values()],
            **{
                kind: sorted(one["id"] for one in installation.server.all(kind))
                for kind in ("flows", "work_pools", "block_documents")
            },
            # an update would make the server forget past heartbeats
            "automations": {
                one["name"]: (one["id"], one["updated"])
                for one in installation.server.all("automations")
            },
        }

    before = registered()
    assert len(before["deployments"]) == 2 * NUM_DEPLOYED
    installation.command(nightly.folder, "distillery", "deploy", "tiny.yaml", "--cron", "")
    assert registered() == before


def test_a_run_completes_after_its_worker_and_the_server_were_killed(
    installation: Installation,
    orphan: tuple[Run, str],
    retried_run: object,
    finished: Run,
    tmp_path: Path,
) -> None:
    run, identity = orphan
    assert installation.ended(identity, CRASH_LIMIT_S)["state_type"] == "CRASHED"
    assert_receipts_match_files_and_status(run)
    assert not (run.root / "manifests").exists()
    installation.retry(identity)
    wait_for(lambda: installation.run_of(identity)["state_type"] == "RUNNING", 200, "the retry")
    installation.server.kill()
    assert_receipts_match_files_and_status(run)
    installation.server.start()
    if installation.ended(identity)["state_type"] != "COMPLETED":
        installation.retry(identity)
        assert installation.ended(identity)["state_type"] == "COMPLETED"
    assert_receipts_match_files_and_status(run)
    local = copied(finished, tmp_path)
    tiny(tmp_path, publish={"name": "orphan"})
    local.run("--until", "publish")
    assert run.digest == local.digest


def test_doctor_checks_the_server_and_suggests_solutions(
    installation: Installation, nightly: Run, retried_run: dict[str, Any], working: psutil.Process
) -> None:
    def checks(**settings: str) -> dict[str, dict[str, str]]:
        done = subprocess.run(
            [str(COMMAND), "doctor", "tiny.yaml", "--json"],
            cwd=nightly.folder, env={**installation.settings, **settings}, capture_output=True,
        )  # fmt: skip
        return {check["subject"]: check for check in json.loads(done.stdout)}

    found = checks()
    states = {subject: check["state"] for subject, check in found.items()}
    subjects = ("storage", "server", "deployments", "pool cpu", "late runs", "notifications")
    assert {states[subject] for subject in subjects} == {"ok"}
    refused = checks(PREFECT_API_AUTH_STRING="admin:wrong")["server"]
    assert "set PREFECT_API_AUTH_STRING" in refused["next_step"]
    unreachable = checks(PREFECT_API_URL="http://127.0.0.1:9/api")["server"]
    assert "cannot be reached" in unreachable["found"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the test expects a machine without a GPU")
def test_stages_on_a_gpu_run_and_fail_in_the_gpu_pool(
    installation: Installation, working: object, finished: Run, tmp_path: Path
) -> None:
    run = tiny(tmp_path, publish={"name": "cards"}, runtime={"device": "cuda"})
    installation.command(run.folder, "distillery", "deploy", run.config.name, "--cron", "")
    identity = installation.begin("distillery/cards", until="distil")
    with worker(installation.server, "gpu", installation.folder):
        failed = installation.ended(identity)
    assert failed["state_type"] == "FAILED"
    assert f"failed: label {SHARD}: " in failed["state"]["message"]
    assert "runtime.device is cuda" in failed["state"]["message"]
    installation.retry(identity)

    def is_queued() -> bool:
        states = [one["state_type"] for one in installation.below(identity)]
        return "SCHEDULED" in states

    wait_for(is_queued, RUN_LIMIT_S, "a run in the GPU pool")
    tiny(tmp_path, publish={"name": "cards"})  # the run below uses the CPU, since there is no GPU
    with worker(installation.server, "gpu", installation.folder):
        ended = installation.ended(identity)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    pools = {one["name"]: one["work_pool_name"] for one in installation.below(identity)}
    assert {name for name, pool in pools.items() if pool == "gpu"} == {
        "label librispeech",
        "distil",
    }
    assert {line["stage"] for line in run.json("status")["stages"] if line["shards"]["done"]} == {
        line["stage"] for line in finished.json("status")["stages"] if line["stage"] != "evaluate"
    }


def test_downloads_use_the_concurrency_limit_of_their_host(
    installation: Installation, finished: Run, tmp_path: Path
) -> None:
    run = tiny(tmp_path, publish={"name": "mirrored"}, runtime={"downloads_per_host": 1})
    settings = yaml.safe_load(run.config.read_text())
    del settings["synthetic"]
    with serving_files(finished.folder / "tiny-data" / "synthetic" / "librispeech") as address:
        settings["corpora"]["librispeech"]["mirror"] = address
        run.config.write_text(yaml.safe_dump(settings))
        installation.command(run.folder, "distillery", "deploy", run.config.name, "--cron", "")
        installation.command(
            run.folder, "distillery", "run", run.config.name, "--until", "download"
        )
    limit = installation.server.ask("v2/concurrency_limits/download-127.0.0.1", method="GET")
    assert (limit["limit"], limit["active_slots"]) == (1, 0)
    acquired = {"filter": {"event": {"name": ["prefect.concurrency-limit.acquired"]}}}
    events = wait_for(
        lambda: installation.server.ask("events/filter", acquired)["events"], 60, "an event"
    )
    names = {one["resource"]["prefect.resource.name"] for one in events}
    assert "download-127.0.0.1" in names


def test_prefect_deploy_creates_the_same_deployments(
    installation: Installation, retried_run: dict[str, Any]
) -> None:
    def registered() -> dict[str, dict[str, Any]]:
        found = installation.deployments()
        return {
            name: {key: one[key] for key in SAME}
            | {"schedules": [(each["schedule"], each["active"]) for each in one["schedules"]]}
            for name, one in found.items()
            if one["name"] == "demo"
        }

    installation.command(REPOSITORY, "distillery", "deploy", "configs/demo.yaml")
    ours = registered()
    assert len(ours) == NUM_DEPLOYED
    for _ in range(2):
        installation.command(REPOSITORY, "prefect", "--no-prompt", "deploy", "--all")
        assert registered() == ours
    installation.command(REPOSITORY, "distillery", "deploy", "configs/demo.yaml", "--cron", "")


def test_no_secret_appears_anywhere(
    installation: Installation,
    moto: S3Server,
    nightly: Run,
    orphan: tuple[Run, str],
    retried_run: dict[str, Any],
) -> None:
    basic = b64encode(f"admin:{installation.server.password}".encode()).decode()
    texts = {"the database": installation.database.dump()}
    for folder in (installation.folder, nightly.folder, orphan[0].folder):
        texts |= {
            str(path): path.read_bytes().decode(errors="replace")
            for path in folder.rglob("*")
            if path.is_file()
        }
    objects = {
        one.key: one.get()["Body"].read().decode(errors="replace")
        for one in bucket(moto, BUCKET).objects.all()
    }
    assert len(objects) > 20
    documents = installation.server.ask("block_documents/filter", {})
    texts |= objects | {"the blocks": json.dumps(documents)}
    assert "distillery-failures" in texts["the blocks"]
    assert {
        name: secret
        for name, text in texts.items()
        for secret in (*installation.secrets, basic)
        if secret in text
    } == {}


def artifacts_of(installation: Installation) -> dict[str, dict[str, Any]]:
    """The latest artifact of each key."""
    newest: dict[str, dict[str, Any]] = {}
    for one in sorted(installation.server.all("artifacts"), key=lambda one: str(one["created"])):
        newest[str(one["key"])] = one
    return newest


def assert_receipts_match_files_and_status(run: Run) -> None:
    """Each receipt names an intact file, and status counts no others."""
    found = [
        Receipt.parse(path.read_bytes(), path.name) for path in run.root.rglob("*.receipt.json")
    ]
    assert found
    for receipt in found:
        assert hash_file(run.root / receipt.output.path) == receipt.output.sha256
    stages = run.json("status")["stages"]
    shards = [line for line in stages if line["stage"] not in ("publish", "evaluate", "distil")]
    sharded = [one for one in found if one.stage not in ("evaluate", "distil")]
    assert sum(line["shards"]["done"] for line in shards) == len(sharded)


def is_picture(data: bytes) -> bool:
    """Whether the data are a PNG of a size suitable for the documentation."""
    return data.startswith(b"\x89PNG") and 10_000 < len(data) < 150_000

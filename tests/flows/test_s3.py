"""The tiny pipeline in an S3 bucket over the wire, its keys in a block of a Prefect server.

The server is Ceph's gateway where this machine has it, and moto's elsewhere.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.builders import untimed
from tests.flows.running import Run, tiny
from tests.prefect_server import SHARED, Server
from tests.processes import environment, free_port
from tests.s3_servers import S3Server, bucket, lacking_programs

BLOCK = "bucket-keys"
MAKE_BLOCK = f"""
import os
from prefect_aws import AwsClientParameters, AwsCredentials
AwsCredentials(
    aws_access_key_id=os.environ["KEY"],
    aws_secret_access_key=os.environ["SECRET"],
    region_name="us-east-1",
    aws_client_parameters=AwsClientParameters(endpoint_url=os.environ["URL"]),
).save("{BLOCK}")
"""


@pytest.fixture
def s3(request: pytest.FixtureRequest) -> S3Server:
    """The most realistic S3 server that is installed."""
    found: S3Server = request.getfixturevalue("moto" if lacking_programs() else "ceph")
    return found


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Server:
    """The shared Prefect server, without S3 keys in the environment."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return SHARED.started()


def in_bucket(folder: Path, root: str, **runtime: str) -> Run:
    """The tiny configuration in `folder` with its root in a bucket."""
    folder.mkdir()
    run = tiny(folder, runtime=runtime)
    settings = yaml.safe_load(run.config.read_text())
    run.config.write_text(yaml.safe_dump({**settings, "root": root}))
    return replace(run, starts_server=True)  # without a server that could have a block


@pytest.mark.slow
def test_a_run_in_a_bucket_equals_one_in_a_folder_and_reveals_no_key(
    finished: Run, s3: S3Server, prefect: Server, tmp_path: Path
) -> None:
    kept = bucket(s3, "story")
    keys = {"KEY": s3.key, "SECRET": s3.secret, "URL": s3.url}
    make = [sys.executable, "-c", MAKE_BLOCK]
    subprocess.run(make, env=environment(**prefect.client_settings, **keys), check=True)
    run = in_bucket(tmp_path / "run", "s3://story/some/prefix", s3_credentials=BLOCK)
    run = replace(run, variables=prefect.client_settings)

    told = run.run()
    assert (
        f"the block {BLOCK} has keys"
        in run.distillery("doctor", run.config.name, expect=None).stdout
    )
    assert run.json("manifest", "show")["digest"] == finished.digest
    assert untimed(run.json("status")) == untimed(finished.json("status"))
    assert [path.name for path in (run.folder / "tiny-data").iterdir()] == ["synthetic"]

    objects = [(one.key, one.get()["Body"].read()) for one in kept.objects.all()]
    assert any(key.endswith(".receipt.json") for key, _ in objects)
    shown = [prefect.all(kind) for kind in ("logs", "artifacts", "flow_runs", "task_runs")]
    assert all(shown[:1]), "there is a log to be searched"
    server_log = prefect.log.read_text()
    other = in_bucket(tmp_path / "other", "s3://story/root", s3_credentials="nobody")
    other = replace(other, variables=prefect.client_settings)
    assert "names the block 'nobody', but the server has no such block" in mistaken(other, "status")

    for secret in (s3.secret, prefect.password):
        assert secret.encode() not in b"".join(data for _, data in objects)
        assert secret not in f"{shown}{told.stdout}{told.stderr}{server_log}"


def mistaken(run: Run, *words: str, expect: int = 2) -> str:
    """The single line that a failing command writes to standard error."""
    done = run.process(*words, run.config.name, expect=expect)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_each_mistake_gives_one_clear_line(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(s3, "story")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    elsewhere = in_bucket(tmp_path / "elsewhere", "s3://no-such-bucket/root")
    assert "there is no such bucket" in mistaken(elsewhere, "status")

    run = in_bucket(tmp_path / "run", "s3://story/root")
    if not lacking_programs():
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        told = mistaken(run, "status")
        assert "not allowed to list s3://story/root" in told
        assert "check the credentials" in told
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert "cannot list s3://story/root" in mistaken(run, "status", expect=1)

    blocked = in_bucket(tmp_path / "blocked", "s3://story/root", s3_credentials="nobody")
    assert "set PREFECT_API_URL" in mistaken(blocked, "status")
    nowhere = {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}
    told = mistaken(replace(blocked, variables=nowhere), "status", expect=1)
    assert "the Prefect server did not return it" in told
    found = blocked.process("doctor", blocked.config.name, "--json", expect=1)
    [keys] = [one for one in json.loads(found.stdout) if one["subject"] == "credentials"]
    assert (keys["state"], keys["next_step"]) == (
        "problem",
        "set PREFECT_API_URL to that server's URL",
    )

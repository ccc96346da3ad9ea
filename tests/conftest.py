"""Real parts for the tests: an S3 server, and stores of every kind."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest

from storage.store import Store


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[Any]:
    """A bucket of an S3 server on loopback; address and keys stand in the environment."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _answer_one_at_a_time(server._server)
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            environment.setenv(name, value)
        yield boto3.Session().resource("s3").create_bucket(Bucket="bucket")
    server.stop()


def _answer_one_at_a_time(server: Any) -> None:
    """S3 checks a condition and writes in one step; between these two moto lets others in."""
    answer, lock = server.app, Lock()

    def alone(environ: Any, start_response: Any) -> Any:
        with lock:
            return answer(environ, start_response)

    server.app = alone


@pytest.fixture(scope="session")
def s3_store(s3_bucket: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One for all tests, since its connection takes longer than most of them."""
    return Store(f"s3://{s3_bucket.name}/root", scratch=str(tmp_path_factory.mktemp("scratch")))


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty root in a folder; parametrised indirectly, one in memory or on s3 too."""
    kind = getattr(request, "param", "local")
    if kind == "local":
        return str(tmp_path / "root")
    if kind == "memory":
        return f"memory://{uuid4().hex}"
    bucket = request.getfixturevalue("s3_bucket")
    bucket.objects.all().delete()
    return f"s3://{bucket.name}/root"


@pytest.fixture
def open_store(root: str, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same root anew, as another process would."""
    return lambda: Store(root, scratch=str(tmp_path / "scratch"))


@pytest.fixture
def store(request: pytest.FixtureRequest, root: str, open_store: Callable[[], Store]) -> Store:
    """A store on an empty root."""
    return request.getfixturevalue("s3_store") if root.startswith("s3://") else open_store()

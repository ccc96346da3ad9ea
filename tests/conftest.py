"""What many tests share: an S3 server, stores of every kind, a single thread."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from storage.store import Store
from tests.prefect_server import SHARED
from tests.s3_servers import S3Server, bucket, ceph_server, lacking_programs, moto_server


@pytest.fixture(scope="session", autouse=True)
def _shared_server() -> Iterator[None]:
    """Stop the shared Prefect server when the session ends."""
    yield
    SHARED.stop()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of torch: very small models gain nothing from more."""
    import torch  # takes seconds, and most tests do without

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """An S3 server that any machine has; it checks no key."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real object store, which checks keys and conditions."""
    if lacking := lacking_programs():
        pytest.skip(f"needs {', '.join(lacking)} (Debian: ceph-mon, ceph-osd, radosgw)")
    with ceph_server(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture
def s3_bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bucket of an S3 server on loopback; address and keys stand in the environment."""
    return _bucket(moto, monkeypatch)


def _bucket(server: S3Server, environment: pytest.MonkeyPatch) -> Any:
    for name, value in server.environment.items():
        environment.setenv(name, value)
    return bucket(server, "bucket")


@pytest.fixture
def s3_store(s3_bucket: Any, tmp_path: Path) -> Store:
    """A store in that bucket."""
    return Store(f"s3://{s3_bucket.name}/root", scratch=str(tmp_path / "scratch"))


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty root in a folder; parametrised indirectly, in memory or on an S3 server too."""
    kind = getattr(request, "param", "local")
    if kind == "local":
        return str(tmp_path / "root")
    if kind == "memory":
        return f"memory://{uuid4().hex}"
    found = _bucket(request.getfixturevalue("moto" if kind == "s3" else "ceph"), monkeypatch)
    found.objects.all().delete()
    return f"s3://{found.name}/root"


@pytest.fixture
def open_store(root: str, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same root anew, as another process would."""
    return lambda: Store(root, scratch=str(tmp_path / "scratch"))


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """A store on an empty root."""
    return open_store()

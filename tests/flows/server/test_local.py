"""The private server of a run: nobody else on the machine can read or drive it."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import psutil
import pytest

from flows.server.local import LOGIN, prefect_api
from storage.errors import UserError
from tests.processes import environment

SERVER = "flows.server.local"


@pytest.fixture
def _no_settings() -> Iterator[None]:
    """The environment without Prefect's settings, restored afterwards."""
    open_to_all = {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "*"}  # as by default
    with mock.patch.dict(os.environ, environment(**open_to_all), clear=True):
        yield


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("_no_settings")
def test_only_who_can_read_the_login_can_use_the_server(tmp_path: Path) -> None:
    home = tmp_path / ".prefect"
    home.mkdir()
    home.chmod(0o755)  # as it was made by earlier versions
    (home / "server.log").touch(0o644)
    with prefect_api(home) as wait_until_up:
        wait_until_up()
        address, login = (home / LOGIN).read_text().split()
        url = f"{address}/api/flows/filter"
        assert os.environ["PREFECT_API_AUTH_STRING"] == login
        assert len(login) > 40
        stranger = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        assert httpx.post(url, json={}).status_code == httpx.codes.UNAUTHORIZED
        asked = httpx.options(url, headers=stranger)
        assert "access-control-allow-origin" not in asked.headers
        user, _, password = login.partition(":")
        found = httpx.post(url, json={}, auth=(user, password), headers=stranger)
        assert found.is_success
        assert found.headers.get("access-control-allow-origin") is None
        assert httpx.get(address).is_success  # the UI, which asks for the password

        [server] = [one for one in psutil.Process().children() if SERVER in one.cmdline()]
        assert password not in " ".join(server.cmdline())
        assert os.getsid(server.pid) != os.getsid(0)
        assert server.net_connections("inet")[0].laddr.ip == "127.0.0.1"
        assert mode(home) == 0o700
        assert {mode(one) for one in home.rglob("*") if one.is_file()} == {0o600}
        assert (home / "prefect.db").exists()
        for log in home.glob("*.log"):
            assert password not in log.read_text()
    assert not (home / LOGIN).exists()
    assert "PREFECT_API_AUTH_STRING" not in os.environ
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))


@pytest.mark.usefixtures("_no_settings")
def test_a_folder_that_others_could_prepare_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ".prefect"
    home.mkdir()
    (home / "server.log").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="symbolic link"), prefect_api(home):
        pytest.fail("a server was started there")
    assert not (tmp_path / "victim").exists()


@pytest.mark.usefixtures("_no_settings")
def test_each_server_has_a_password_of_its_own(tmp_path: Path) -> None:
    logins = set()
    for name in ("one", "other"):
        with prefect_api(tmp_path / name):
            logins.add((tmp_path / name / LOGIN).read_text().split()[1])
    assert len(logins) == 2

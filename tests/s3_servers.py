"""S3 servers on loopback: moto's, which any machine has, and Ceph's, which checks what it is told.

Ceph's gateway wants a monitor and a store behind it; all three keep everything in memory and in a
folder, and end with the test session.
"""

import logging
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from tests.processes import free_port, is_up, wait_for

CEPH_PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw")
_UP_LIMIT_S = 60.0
_STEP_LIMIT_S = 60.0


@dataclass(frozen=True)
class S3Server:
    """Where a server answers, and the keys that it knows."""

    url: str
    key: str
    secret: str

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find it and to log in."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@cache
def bucket(server: S3Server, name: str) -> Any:
    """A bucket of that name, made unless it is there."""
    import boto3

    session = boto3.Session(server.key, server.secret, region_name="us-east-1")
    return session.resource("s3", endpoint_url=server.url).create_bucket(Bucket=name)


def lacking_programs() -> list[str]:
    """The programs of Ceph that this machine has not; Debian: ceph-mon, ceph-osd, radosgw."""
    return [name for name in CEPH_PROGRAMS if shutil.which(name) is None]


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """moto's server, in this process; it takes any key."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _answer_one_at_a_time(server._server)
    host, port = server.get_host_and_port()
    try:
        yield S3Server(f"http://{host}:{port}", "test-key", secrets.token_hex(20))
    finally:
        server.stop()


def _answer_one_at_a_time(server: Any) -> None:
    """S3 checks a condition and writes in one step; between these two moto lets others in."""
    answer, lock = server.app, Lock()

    def alone(environ: Any, start_response: Any) -> Any:
        with lock:
            return answer(environ, start_response)

    server.app = alone


@contextmanager
def ceph_server(folder: Path) -> Iterator[S3Server]:
    """Ceph's object gateway over one monitor and one store in memory."""
    port, monitor_port = free_port(), free_port()
    server = S3Server(f"http://127.0.0.1:{port}", secrets.token_hex(10), secrets.token_hex(20))
    keys, config, fsid = folder / "keys", folder / "ceph.conf", str(uuid4())
    config.write_text(_configuration(folder, fsid, port, monitor_port))
    for name in ("monitor", "store"):
        (folder / name).mkdir()

    def step(*command: str) -> None:
        subprocess.run(command, check=True, timeout=_STEP_LIMIT_S, capture_output=True, cwd=folder)

    rights = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
    names = ("mon.", "client.admin", "client.gateway", "osd.0")
    for number, name in enumerate(names):
        made = ("--create-keyring",) if number == 0 else ()
        step("ceph-authtool", str(keys), *made, "--gen-key", "--name", name, *rights)
    address = f"[v2:127.0.0.1:{monitor_port}]"
    step("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, str(folder / "map"))
    common = ("--conf", str(config), "--foreground")
    monitor = ("ceph-mon", "--id", "a", "--conf", str(config))
    step(*monitor, "--mkfs", "--monmap", str(folder / "map"), "--keyring", str(keys))
    ceph = ("ceph", "--conf", str(config))
    with ExitStack() as running:
        running.enter_context(_program(folder, "ceph-mon", "--id", "a", *common))
        store_id = str(uuid4())
        step(*ceph, "osd", "new", store_id)
        step(*ceph, "auth", "import", "--in-file", str(keys))
        step("ceph-osd", "--id", "0", "--conf", str(config), "--mkfs", "--osd-uuid", store_id)
        running.enter_context(_program(folder, "ceph-osd", "--id", "0", *common))
        step(
            "radosgw-admin", "--conf", str(config), "user", "create", "--uid", "test",
            "--display-name", "test", "--access-key", server.key, "--secret-key", server.secret,
        )  # fmt: skip
        gateway = ("radosgw", "--name", "client.gateway", *common)
        running.enter_context(_program(folder, *gateway))
        wait_for(lambda: is_up(server.url), _UP_LIMIT_S, "the gateway")
        yield server


def _configuration(folder: Path, fsid: str, port: int, monitor_port: int) -> str:
    settings = {
        "fsid": fsid,
        "mon_host": f"v2:127.0.0.1:{monitor_port}",
        "public_addr": "127.0.0.1",
        "keyring": folder / "keys",
        "mon_data": folder / "monitor",
        "osd_data": folder / "store",
        "run_dir": folder,
        "log_file": f"{folder}/$name.log",
        "admin_socket": "",
        "osd_objectstore": "memstore",
        "memstore_device_bytes": 2 << 30,
        "osd_crush_chooseleaf_type": 0,  # one store is all there is: it may hold every copy
        "osd_pool_default_size": 1,
        "osd_pool_default_min_size": 1,
        "osd_pool_default_pg_num": 4,
        "osd_pool_default_pgp_num": 4,
        "mon_max_pg_per_osd": 1000,
        "rgw_frontends": f"beast endpoint=127.0.0.1:{port}",
    }
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


@contextmanager
def _program(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("w") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.kill()  # what it keeps in memory is not to be saved
            process.wait()

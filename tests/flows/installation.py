"""A complete installation: PostgreSQL, a Prefect server, S3 and a webhook receiver."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.file_server import listening
from tests.flows import browser as ui
from tests.postgres import Postgres, postgres, postgres_programs
from tests.prefect_server import Server, prefect_server
from tests.processes import environment, wait_for

BIN = Path(sys.executable).parent
RUN_LIMIT_S = 280.0
_ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Installation:
    """The running services, and the secrets that must not appear anywhere."""

    database: Postgres
    server: Server
    folder: Path  # where workers start, and where logs are written
    storage: Mapping[str, str]  # environment variables for S3
    notified: list[str]
    hook: str  # the webhook URL; its last part is secret

    @property
    def secrets(self) -> tuple[str, ...]:
        kept = self.storage["AWS_SECRET_ACCESS_KEY"]
        return self.database.password, self.server.password, self.hook.rpartition("/")[2], kept

    @property
    def settings(self) -> dict[str, str]:
        return environment(
            **self.server.client_settings, **self.storage, DISTILLERY_WEBHOOK_URL=self.hook
        )

    def command(self, folder: Path, *words: str, expect: int = 0) -> str:
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=folder, env={**self.settings, "DISTILLERY_HOME": str(folder)},
            capture_output=True, text=True, timeout=RUN_LIMIT_S,
        )  # fmt: skip
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout

    def deployments(self) -> dict[str, dict[str, Any]]:
        flows = {flow["id"]: flow["name"] for flow in self.server.all("flows")}
        found = self.server.all("deployments")
        return {f"{flows[one['flow_id']]}/{one['name']}": one for one in found}

    def begin(self, name: str, **parameters: Any) -> str:
        """Create a run of a deployment through the API and return its id."""
        deployment = self.deployments()[name]["id"]
        made = self.server.ask(
            f"deployments/{deployment}/create_flow_run", {"parameters": parameters}
        )
        return str(made["id"])

    def run_of(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.server.ask(f"flow_runs/{run}", method="GET")
        return found

    def retry(self, run: str) -> None:
        state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
        self.server.ask(f"flow_runs/{run}/set_state", {"state": state})

    def ended(self, run: str, limit_s: float = RUN_LIMIT_S) -> dict[str, Any]:
        """Wait until the run has ended and return it."""

        def look() -> dict[str, Any] | None:
            found = self.run_of(run)
            return found if found["state_type"] in _ENDED else None

        return wait_for(look, limit_s, f"the end of {run}")

    def below(self, run: str) -> list[dict[str, Any]]:
        """The subflow runs of a run, ordered by start time."""
        filters = {"parent_flow_run_id": {"any_": [run]}}
        return self.server.all("flow_runs", flow_runs=filters, sort="START_TIME_ASC")

    def on_its_schedule(self, folder: Path, config: str, name: str) -> str:
        """Put the pipeline on a short schedule and return the id of its one scheduled run."""
        words = ("distillery", "deploy", config)
        self.command(folder, *words, "--interval-s", "10")
        pipeline = self.deployments()[name]["id"]
        filters = {"deployment_id": {"any_": [pipeline]}, "state": {"type": {"any_": ["RUNNING"]}}}
        [first] = wait_for(
            lambda: self.server.all("flow_runs", flow_runs=filters), 120, "a scheduled run"
        )
        self.command(folder, *words, "--cron", "")
        assert first["auto_scheduled"]
        return str(first["id"])

    def redo_and_retry(
        self, failed: str, form: str, shard: str, picture: Path, limit_s: float = RUN_LIMIT_S
    ) -> dict[str, Any]:
        """Redo the failed run's shard, retry the run, and return it when it has ended.

        `normalise` is redone through the API, `label` and the retry through the UI if a browser is
        installed.
        """
        corpus, split, number = shard.split("/")
        again = {"corpus": corpus, "split": split, "shard": int(number)}
        first = self.begin(form, stage="normalise", **again)
        assert self.ended(first)["state_type"] == "COMPLETED"
        if ui.why_not():
            second = self.begin(form, stage="label", **again)
            assert self.ended(second)["state_type"] == "COMPLETED"
            self.retry(failed)
        else:
            with ui.browser(self.server) as person:
                self._redo_and_retry_in(person, failed, form, shard, picture)
        return self.ended(failed, limit_s)

    def _redo_and_retry_in(
        self, person: ui.Browser, failed: str, form: str, shard: str, picture: Path
    ) -> None:
        corpus, split, number = shard.split("/")
        person.open(f"deployments/deployment/{self.deployments()[form]['id']}/run", "Parameters")
        for parameter, value in (("stage", "label"), ("corpus", corpus), ("split", split)):
            person.choose(parameter, value)
        person.fill_in("shard", str(int(number)))
        person.photograph(picture)
        person.click("Submit")
        filters = {"name": {"any_": [f"rerun label {shard}"]}}
        [made] = wait_for(
            lambda: self.server.all("flow_runs", flow_runs=filters), 120, "the form's run"
        )
        assert self.ended(made["id"])["state_type"] == "COMPLETED"
        person.open(f"runs/flow-run/{failed}", "Failed")
        person.open_menu()
        person.click("Retry")
        person.confirm("Retry")
        wait_for(lambda: self.run_of(failed)["state_type"] != "FAILED", 120, "the retry")


@contextmanager
def installed(folder: Path, storage: Mapping[str, str]) -> Iterator[Installation]:
    """Run an installation with shards in S3; logs and the server's files are in `folder`."""
    programs = postgres_programs()
    assert programs is not None
    with (
        postgres(programs) as database,
        listening() as (address, notified),
        prefect_server(folder, database.url) as server,
    ):
        hook = f"{address}/{secrets.token_hex(16)}"
        yield Installation(database, server, folder, storage, notified, hook)

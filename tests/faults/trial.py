"""The tiny pipeline on a root of its own, in a folder or a bucket, and the checks after each trial.

A trial may begin with the results of some stages of an undisturbed run, so that every stage can be
disturbed without doing all others again.
"""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from storage.receipt import Receipt
from tasks.stages import STAGE_NAMES
from tests.builders import untimed
from tests.faults.warm import Started, WarmRuns, start_cold
from tests.flows.running import tiny
from tests.s3_servers import S3Server, bucket

CONFIG = "tiny.yaml"
BUCKET = "faults"
NAME = "tiny"
_FOLDERS = {"download": "raw", "publish": "manifests"}
_RETRIES = {"retries": 3, "retry_delay_s": 0.1}


@dataclass
class Trial:
    """A root, the configuration that names it, and the commands that run there."""

    warm: WarmRuns
    folder: Path
    server: S3Server | None = None
    disk: Path | None = None  # where a local root is, if not in the folder

    @property
    def data(self) -> Path:
        return (self.disk or self.folder) / "data"

    @property
    def prefix(self) -> str:
        """Of the objects in the bucket; the folder of a trial has a name of its own."""
        return f"{self.folder.parent.name}-{self.folder.name}"

    def configure(self, mirror: Path, **runtime: Any) -> None:
        """Write the configuration; the corpus is read from `mirror`, which is not changed."""
        changes: dict[str, dict[str, Any]] = {
            "plan": {"target_shard_hours": 0.004},
            "filter": {"contamination": {"ngram_words": 8}},
            "runtime": {"workers": 3, **runtime},
        }
        run = tiny(self.folder, **changes)
        settings = yaml.safe_load(run.config.read_text())
        del settings["synthetic"]
        settings["corpora"]["librispeech"]["mirror"] = str(mirror)
        settings["root"] = f"s3://{BUCKET}/{self.prefix}" if self.server else str(self.data)
        settings["runtime"]["scratch"] = str(self.folder / "scratch") if self.server else None
        run.config.write_text(yaml.safe_dump(settings))

    def start(self, *words: str, cold: bool = False) -> Started:
        """Start a command on the configuration; `cold` gives it a Prefect server of its own."""
        command, *options = words
        start = start_cold if cold else self.warm.start
        return start(self.folder, [command, CONFIG, *options], self.environment)

    @property
    def environment(self) -> Mapping[str, str]:
        return self.server.environment if self.server else {}

    def wait_until_begun(self, stage: str, started: Started) -> None:
        """Wait until a stage has stored something in a local root, or the command has ended."""
        while started.is_running and not (self.data / _FOLDERS.get(stage, stage)).exists():
            time.sleep(0.02)

    def command(self, *words: str, expect: int = 0) -> str:
        """Run a command to its end; returns what it printed."""
        verb, *rest = words
        started = self.warm.start(self.folder, [verb, *rest], self.environment)
        status, text = started.wait(), started.log.read_text()
        assert status == expect, f"{words} ended with {status}, expected {expect}: {text[-3000:]}"
        return text

    def json(self, *words: str) -> Any:
        return json.loads(self.command(*words, CONFIG, "--json"))

    def files(self, pattern: str = "*") -> dict[str, bytes]:
        """The stored files whose path below the root matches, by path, read past all proxies."""
        if self.server is None:
            paths = {str(path.relative_to(self.data)): path for path in self.data.rglob("*")}
            return {
                name: path.read_bytes() for name, path in sorted(paths.items())
                if path.is_file() and fnmatch(name, pattern)
            }  # fmt: skip
        listed = bucket(self.server, BUCKET).objects.filter(Prefix=f"{self.prefix}/")
        named = {one.key.removeprefix(f"{self.prefix}/"): one for one in listed}
        return {
            name: one.get()["Body"].read() for name, one in named.items() if fnmatch(name, pattern)
        }

    def receipts(self) -> dict[str, Receipt]:
        """All receipts; parsing one checks the row law."""
        return {
            path: Receipt.parse(data, path) for path, data in self.files("*.receipt.json").items()
        }

    def put(self, files: Mapping[str, bytes]) -> None:
        """Store files below the root."""
        for name, data in files.items():
            if self.server is not None:
                bucket(self.server, BUCKET).put_object(Key=f"{self.prefix}/{name}", Body=data)
            else:
                path = self.data / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)


@dataclass(frozen=True)
class Finished:
    """An undisturbed run, with which all others are compared."""

    trial: Trial
    mirror: Path
    digest: str
    status: Any
    seconds: float

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The digest of each shard's output, by the path of its receipt."""
        return outputs(self.trial)

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        return self.trial.files()

    def before(self, stage: str) -> dict[str, bytes]:
        """What is stored when `stage` is the first that has not begun."""
        done = STAGE_NAMES[: STAGE_NAMES.index(stage)]
        folders = tuple(f"{_FOLDERS.get(name, name)}/" for name in done)
        return {path: data for path, data in self.files.items() if path.startswith(folders)}

    def begin(
        self, folder: Path, stage: str, server: S3Server | None = None,
        disk: Path | None = None, **runtime: Any,
    ) -> Trial:  # fmt: skip
        """A trial of its own in `folder`, in which the stages before `stage` are done."""
        folder.mkdir(parents=True, exist_ok=True)
        trial = Trial(self.trial.warm, folder, server, disk)
        if server is not None:
            bucket(server, BUCKET)
        trial.configure(self.mirror, **{**_RETRIES, **runtime})
        trial.put(self.before(stage))
        return trial

    def check(self, trial: Trial, commands: Sequence[Started] = ()) -> None:
        """Nothing is lost, doubled or left running, and garbage collection deletes no result.

        `trial` has come to its end; `commands` are those that were disturbed.
        """
        assert [one["number"] for one in trial.json("manifest", "list")] == [1]
        assert trial.json("manifest", "show")["digest"] == self.digest
        assert untimed(trial.json("status")) == self.status
        assert outputs(trial) == self.outputs
        for receipt in trial.receipts().values():
            counts = receipt.counts
            rejected = sum(counts.dropped.values()) + sum(counts.quarantined.values())
            assert counts.rows_in + counts.created == counts.rows_out + rejected
        assert [one for command in commands for one in command.survivors()] == []
        trial.command("gc", CONFIG, "--delete", "--grace-hours", "0")
        assert "failed" not in trial.command("manifest", "verify", CONFIG)
        assert outputs(trial) == self.outputs


def outputs(trial: Trial) -> dict[str, str]:
    return {path: receipt.output.sha256 for path, receipt in trial.receipts().items()}


def finish(warm: WarmRuns, folder: Path) -> Finished:
    """Make a corpus and run the pipeline on it, undisturbed."""
    source = tiny(folder)
    made = warm.start(folder, ["run", source.config.name, "--until", "download"])
    assert made.wait() == 0, made.log.read_text()
    mirror = folder / "mirror"
    shutil.move(folder / "tiny-data" / "synthetic" / "librispeech", mirror)
    shutil.rmtree(folder / "tiny-data")
    trial = Trial(warm, folder)
    trial.configure(mirror)
    begun_s = time.monotonic()
    trial.command("run", CONFIG)
    seconds = time.monotonic() - begun_s
    digest = trial.json("manifest", "show")["digest"]
    return Finished(trial, mirror, digest, untimed(trial.json("status")), seconds)

"""What a corpus contains cannot control a terminal, a log, the UI or a card."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import flac, sine
from tests.flows.running import TEACHER, Completed, Run
from tests.prefect_server import SHARED
from tests.processes import wait_for

ATTACK = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202edesrever [red]x[/red] <img src=x> [a](javascript:b)"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SETTLE_LIMIT_S = 60


@pytest.fixture(scope="module")
def started_at() -> str:
    return datetime.now(UTC).isoformat()


@pytest.fixture(scope="module")
def hostile(started_at: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A corpus with the attack in its ids, transcripts and licence, and a shard that fails."""
    folder = tmp_path_factory.mktemp("hostile")
    tapes = folder / "tapes"
    tapes.mkdir()
    (tapes / "good.flac").write_bytes(flac(sine(2.0)))
    (tapes / "bad.flac").write_bytes(b"fLaC" + bytes(100))
    rows = [
        {"audio": f"{name}.flac", "id": f"{name}{ATTACK}", "text": f"{ATTACK}\nfake line"}
        for name in ("good", "bad")
    ]
    (tapes / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {
        "root": "hostile-data",
        "corpora": {
            "tapes": {
                "mirror": str(tapes),
                "local": {
                    "splits": {"train": {"files": ["train.jsonl"]}},
                    "columns": {"id": "id"},
                    "licence": {"name": ATTACK},
                },
            }
        },
        "label": {"teacher": {"path": str(TEACHER)}, "pack": "none"},
        "publish": {"name": "hostile"},
        "runtime": {"max_quarantined_percent": 10, "retries": 0},
    }
    (folder / "hostile.yaml").write_text(yaml.safe_dump(settings))
    return Run(folder, folder / "hostile.yaml")


@pytest.fixture(scope="module")
def failed(hostile: Run) -> Completed:
    return hostile.run("--until", "normalise", expect=1)


def is_harmless(text: str) -> bool:
    return RAW.search(text) is None and "\\x1b" in text


def test_a_failed_run_and_its_status_are_plain_lines(hostile: Run, failed: Completed) -> None:
    assert is_harmless(failed.stderr)
    assert not RAW.search(failed.stdout)
    assert not RAW.search(hostile.distillery("status", hostile.config.name).stdout)

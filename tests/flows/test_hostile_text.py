"""What a corpus contains cannot control a terminal, a log, the UI or a card."""

import json
import re
from datetime import UTC, datetime
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
    assert "[red]x[/red]" in failed.stderr
    assert not RAW.search(failed.stdout)
    status = hostile.distillery("status", hostile.config.name, expect=1).stdout
    assert is_harmless(status)
    [failure] = hostile.json("status", expect=1)["failures"]
    assert "\\x1b[31m" in failure["reason"]


def test_the_ui_shows_no_markup_and_its_logs_control_nothing(
    hostile: Run, failed: Completed, started_at: str
) -> None:
    server = SHARED.started()

    def shown(kind: str) -> list[dict[str, Any]]:
        time = {"logs": "timestamp", "artifacts": "created"}[kind]
        return [one for one in server.all(kind) if one[time] >= started_at.replace("+00:00", "Z")]

    tables = wait_for(
        lambda: [one["data"] for one in shown("artifacts") if "unreadable" in str(one["data"])],
        SETTLE_LIMIT_S,
        "the failed shard in the UI",
    )
    for table in tables:
        [row] = json.loads(table)
        assert is_harmless(row["reason"])
        assert "\\<img src=x\\>" in row["reason"] and "[a]\\(javascript:b)" in row["reason"]
    logs = wait_for(
        lambda: [one["message"] for one in shown("logs") if "unreadable" in one["message"]],
        SETTLE_LIMIT_S,
        "the log of the failed shard",
    )
    assert all(is_harmless(message) for message in logs)
    assert any("Traceback" in message for message in logs)


def test_explain_shows_rows_as_they_are(hostile: Run, failed: Completed) -> None:
    settings = yaml.safe_load(hostile.config.read_text())
    settings["runtime"]["max_quarantined_percent"] = 100
    hostile.config.write_text(yaml.safe_dump(settings))
    hostile.run("--until", "normalise")
    [line] = hostile.distillery(
        "explain", hostile.config.name, "--reason", "unreadable_audio"
    ).stdout.splitlines()[:-1]
    assert is_harmless(line)
    history = ("explain", hostile.config.name, f"good{ATTACK}")
    shown = hostile.distillery(*history).stdout
    assert is_harmless(shown)
    assert any(
        line.startswith("raw text") and line.endswith("\\nfake line") for line in shown.splitlines()
    )
    written = hostile.distillery(*history, "--json").stdout
    assert not RAW.search(written)
    assert json.loads(written)["utterance"]["raw_text"] == f"{ATTACK}\nfake line"

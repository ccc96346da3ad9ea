"""A command line that means nothing is refused in one line, with exit status 2."""

import json
from pathlib import Path

import pytest

from tests.flows.running import Run, tiny


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "tiny.yaml", "--json"), "--json needs --plan"),
        (("run", "tiny.yaml", "--json", "--until", "plan"), "--json needs --plan"),
        (("manifest", "show", "tiny.yaml", "--card", "--json"), "leave out --card or --json"),
        (("rerun", "tiny.yaml", "label", "a/b/0", "--json"), "No such option: --json"),
        (("init", ".", "--json"), "No such option: --json"),
        (("deploy", "tiny.yaml", "--json"), "No such option: --json"),
        (("manifest", "export", "tiny.yaml", "x", "--to", "hf", "--json"), "No such option"),
        (("manifest", "export", "tiny.yaml", "x", "--to", "tar"), "'tar' is not one of"),
        (("--json", "status", "tiny.yaml"), "No such option: --json"),
        (("status",), "Missing argument"),
        (("statu", "tiny.yaml"), "No such command 'statu'"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    done = tiny(tmp_path).here(*words, expect=2)
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_help_is_printed_without_an_error(tmp_path: Path) -> None:
    run = tiny(tmp_path)
    assert "Usage" in run.here("--help").stdout
    assert "Usage" in run.here("run", "--help").stdout
    assert "Usage" in run.here("manifest", expect=2).stdout
    assert run.here("--version").stdout.startswith("distillery ")


def test_garbage_is_listed_as_json(tmp_path: Path) -> None:
    run: Run = tiny(tmp_path)
    file = run.root / "label" / "x" / "00000.deadbeef.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"left behind")
    found = json.loads(run.here("gc", "tiny.yaml", "--grace-hours", "0", "--json").stdout)
    assert [one["path"] for one in found] == ["label/x/00000.deadbeef.parquet"]

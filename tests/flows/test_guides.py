"""The commands and settings of the guides are carried out on runs that are finished."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from configs.schema import RunConfig
from tests.docs.blocks import DOCS, blocks, commands
from tests.flows.running import Run, copied, tiny
from tests.s3_servers import S3Server, bucket
from tests.test_engines_page import merged

TINY = yaml.safe_load((DOCS.parent / "configs" / "tiny.yaml").read_text())


def words_of(command: str, config: str) -> list[str]:
    """The words of a command after `distillery`, for another configuration."""
    return [config if word in ("CONFIG", "demo") else word for word in shlex.split(command)[1:]]


@pytest.mark.parametrize("page", ["teacher-and-language.md", "object-store.md"])
def test_settings_are_valid_in_a_run(page: str) -> None:
    found = blocks(page, "yaml")
    assert found
    for block in found:
        RunConfig.model_validate(merged(TINY, yaml.safe_load(block)))


def test_the_exports_are_written(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    for command in commands("exports.md"):
        done = run.distillery(*words_of(command, run.config.name))
        if command.endswith("--json"):
            assert json.loads(done.stdout)
        if command.endswith("--card"):
            assert done.stdout.startswith("#")
    assert pq.read_table(tmp_path / "sweep.parquet").num_rows > 0
    assert (tmp_path / "sweep.svg").read_text().startswith("<svg")
    assert (tmp_path / "exported" / "README.md").exists()
    assert (tmp_path / "exported-nemo" / "train_manifest.jsonl").exists()
    assert (tmp_path / "student" / "README.md").exists()


def test_the_results_of_a_report_are_where_the_page_says(finished: Run) -> None:
    assert "`reports/NAME/….parquet`" in (DOCS / "exports.md").read_text()
    assert len(list((finished.root / "reports" / "tiny").glob("*.parquet"))) == 1


def test_the_commands_after_the_demo(finished: Run) -> None:
    found = [one for one in commands("tutorial.md") if re.match(r"distillery \w+ demo", one)]
    assert len(found) == 3
    for command in found:
        finished.distillery(*words_of(command, finished.config.name))


@pytest.mark.slow
def test_a_run_in_an_object_store(moto: S3Server, tmp_path: Path) -> None:
    variables = {
        word.partition("=")[0]
        for line in commands("object-store.md")
        if line.startswith("export ")
        for word in line.split()[1:]
    }
    assert variables <= moto.environment.keys()
    (settings,) = blocks("object-store.md", "yaml")
    root: Any = yaml.safe_load(settings)["root"]
    bucket(moto, root.split("/")[2])
    local = tiny(tmp_path)
    local.config.write_text(
        yaml.safe_dump(merged(yaml.safe_load(local.config.read_text()), {"root": root}))
    )
    run = Run(tmp_path, local.config, moto.environment)
    done = [one for one in commands("object-store.md") if one.startswith("distillery ")]
    assert [shlex.split(one)[1] for one in done] == ["doctor", "run"]
    doctor, start = (words_of(command, run.config.name) for command in done)
    assert f"{root} is writable" in run.distillery(*doctor, expect=None).stdout
    run.distillery(*start, "--until", "publish")
    assert "tiny" in run.distillery("manifest", "list", run.config.name).stdout

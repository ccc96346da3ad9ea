"""docs/filter.md: its keys, reasons and commands."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from configs.marks import Marks, read_marks
from configs.schema import Filter, Takedown
from tasks.corpora.base import Licence
from tasks.filter.contamination import EvaluationIndex, EvaluationSpeech
from tasks.filter.rules import FilterContext, rules
from tests.flows.running import REPOSITORY, Run

PAGE = (REPOSITORY / "docs" / "filter.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
SHOWN = BLOCKS[0]
ROWS = [line.split("|") for line in PAGE.splitlines() if re.match(r"\| .*\| `", line)]
COMMANDS = re.findall(r"^    (distillery .*?)(?:   .*)?$", PAGE, re.MULTILINE)

NOTHING = EvaluationIndex.of([], [], [], None)
STRICT = FilterContext(
    licence=Licence(name="x", commercial_use=False, derivatives=False, redistribution=False),
    evaluated=EvaluationSpeech(index=NOTHING, audio_digests={}),
)


def test_every_key_is_shown() -> None:
    settings = Filter.model_validate(SHOWN["filter"])
    rejected = {"without_reference"}  # documented in own-audio.md
    assert SHOWN["filter"].keys() == Filter.model_fields.keys() - rejected
    nested = {"hallucination": settings.hallucination, "takedown": Takedown()}
    assert SHOWN["filter"]["marks"].keys() == Marks.model_fields.keys() - {"file"}  # shown later
    for block, values in nested.items():
        assert SHOWN["filter"][block].keys() == type(values).model_fields.keys()


def test_reasons_are_documented_in_the_order_of_the_rules() -> None:
    settings = Filter.model_validate(SHOWN["filter"])
    context = replace(STRICT, marks=settings.marks.of("librispeech"))
    given = [rule.reason for rule in rules(settings, context)]
    documented = [reason for row in ROWS for reason in re.findall(r"`(\w+)`", row[2])]
    assert list(dict.fromkeys(documented)) == list(dict.fromkeys(given))


def test_the_shown_file_of_marks_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^    (\{.*\})$", PAGE, re.MULTILINE)
    Path("marks.jsonl").write_text("\n".join(lines))
    [shown] = [one for one in BLOCKS if "file" in one.get("filter", {}).get("marks", {})]
    marks = Filter.model_validate(shown["filter"]).marks.of("librispeech")
    listed = Filter.model_validate(SHOWN["filter"]).marks.of("librispeech")
    assert marks == listed and len(marks) == len(read_marks("marks.jsonl")) == 2


def test_the_defaults_are_documented() -> None:
    by_default = {rule.reason for rule in rules(Filter(), STRICT)}
    always = {"no_reference"}
    assert by_default - always == {
        "empty_reference", "empty_hypothesis", "too_long", "flagged", "wer",
    }  # fmt: skip
    assert "`max_tokens: 448`" in PAGE and "`max_wer_percent: 10.0`" in PAGE
    assert (Filter().max_tokens, Filter().max_wer_percent) == (448, 10.0)


def an_id(run: Run) -> str:
    path = next((run.root / "label").rglob("*.parquet"))
    return str(pq.read_table(path, columns=["window_id"]).column("window_id")[0].as_py())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(stricter: Run, command: str) -> None:
    words = shlex.split(command.replace("configs/demo.yaml", "tiny.yaml"))[1:]
    words = [an_id(stricter) if re.fullmatch(r"\d+-\d+-\d+", w) else w for w in words]
    assert stricter.distillery(*words).stdout

"""A newcomer who follows docs/tutorial.md to the letter ends with a student that transcribes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.text.comparison import normaliser
from tests.docs.blocks import blocks, commands
from tests.flows.running import COMMAND
from tests.processes import environment
from tests.real.speech import Speech
from tests.test_engines_page import merged

pytestmark = pytest.mark.real

PAGE = "tutorial.md"
LIMIT_S = 3600.0
NUM_WORDS = 5
"""So many words of the utterance, at least, are in the student's text."""


class Newcomer:
    """Somebody at a terminal, in a folder with recordings and a teacher."""

    def __init__(self, folder: Path, recordings: Path, teacher: Path) -> None:
        self.folder = folder
        (folder / "recordings").symlink_to(recordings)
        (folder / "teacher").symlink_to(teacher)

    def types(self, *words: str) -> str:
        path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            words, cwd=self.folder, env=environment(PATH=path), capture_output=True, text=True,
            timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def edits(self, file: str, change: str) -> None:
        config = self.folder / file
        changed = merged(yaml.safe_load(config.read_text()), yaml.safe_load(change))
        config.write_text(yaml.safe_dump(changed, sort_keys=False))

    def held_out(self) -> dict[str, Any]:
        """An utterance of the split `test` of the table, with enough words to recognise."""
        measured = json.loads(self.types("distillery", "status", "own.yaml", "--json"))
        assert not measured["failures"]
        rows = (self.folder / "recordings" / "train.jsonl").read_text().splitlines()
        by_speaker: dict[str, dict[str, Any]] = {}  # whole speakers are held out
        for row in map(json.loads, rows):
            if 2 * NUM_WORDS <= len(row["text"].split()) <= 4 * NUM_WORDS:
                by_speaker.setdefault(row["speaker"], row)
        for row in by_speaker.values():
            history = subprocess.run(
                [str(COMMAND), "explain", "own.yaml", row["id"], "--json"],
                cwd=self.folder, env=environment(), capture_output=True, text=True, check=True,
            )  # fmt: skip
            if json.loads(history.stdout)["split"] == "test":
                return row
        raise AssertionError("nothing is held out")


@pytest.fixture
def newcomer(speech: Speech, teacher: Callable[[str], Path], tmp_path: Path) -> Newcomer:
    if not speech.is_full:
        pytest.skip("takes many minutes: make real SPEECH=DIR FULL=1")
    return Newcomer(tmp_path, speech.folder / "books", teacher("tiny.en"))


def test_the_tutorial_ends_with_a_student_that_transcribes(newcomer: Newcomer) -> None:
    own = [one.split() for one in commands(PAGE) if "own.yaml" in one]
    verbs = [words[1] for words in own]
    assert verbs == ["init", "doctor", "run", "run", "student", "explain"]
    init, *steps, explain = own
    newcomer.types(*init)
    (change,) = blocks(PAGE, "yaml")
    newcomer.edits("own.yaml", change)
    for words in steps:
        newcomer.types(*words)
    utterance = newcomer.held_out()
    newcomer.types(*(utterance["id"] if word == "ID" else word for word in explain))
    (program,) = blocks(PAGE, "python")
    (newcomer.folder / "transcribe.py").write_text(program)
    text = newcomer.types(sys.executable, "transcribe.py")
    normalise = normaliser("english")
    expected, found = (normalise(one).split() for one in (utterance["text"], text))
    assert len(set(expected) & set(found)) >= NUM_WORDS, text


def test_the_example_of_a_table_is_json() -> None:
    (row,) = blocks(PAGE, "json")
    assert json.loads(row).keys() >= {"audio", "text"}
    assert re.fullmatch(r"[\w/.]+", json.loads(row)["audio"])

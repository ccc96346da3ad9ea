"""Encoders are compared bit by bit, and tokens with drafts on all test speech of a corpus."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.paper.identity import (
    FILE,
    compare_students,
    encoder_sentences,
    read_identity,
    same_encoders,
    token_sentence,
)
from configs.load import load_config
from flows.report.facts import read_facts
from flows.state.corpus_state import corpus_states
from storage.store import Store
from tests.flows.running import tiny

ROW = {"draft": "four", "batch_size": 16, "fallback": False, "num_utterances": 2_000,
       "num_identical": 1_999, "acceptance_percent": 51.26, "tokens_per_round": 3.0}  # fmt: skip


def test_what_differs_is_not_hidden() -> None:
    [encoder] = encoder_sentences({"four": False})
    tokens = token_sentence(ROW)
    assert encoder == "The encoder of four differs from the teacher's."
    assert "tokens in 1,999 of 2,000 windows" in tokens
    assert "51.3 % of the drafted tokens" in tokens


@pytest.mark.slow
def test_a_student_has_the_encoder_of_its_teacher_and_drafts_its_text(tmp_path: Path) -> None:
    run = tiny(tmp_path)
    run.run()
    config = load_config(run.config).model_copy(update={"root": str(run.root)})
    store = Store(config.root)
    facts = read_facts(config, store, corpus_states(config, store))
    assert read_identity(config, {"tiny": facts}) is None

    found = compare_students(config, store, {"tiny": facts})

    assert same_encoders(config, store, {"tiny": facts}) == {"tiny": True}
    assert [row["fallback"] for row in found["rows"]] == [False, True]
    for row in found["rows"]:
        assert row["num_identical"] == row["num_utterances"] == 6
    (run.root / FILE).write_text(json.dumps(found))
    assert read_identity(config, {"tiny": facts}) == found
    assert read_identity(config, {"tiny": replace(facts, student=None)}) is None

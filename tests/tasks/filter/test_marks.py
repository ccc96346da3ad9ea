"""Marks of listeners: what they drop and keep, and what they change in a fingerprint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.marks import Mark, MarkedIds, marks_text
from configs.schema import Filter, Hallucination, RunConfig, Takedown
from tasks.corpora.registry import corpus_of_run
from tasks.filter.contamination import EvaluationIndex, EvaluationSpeech
from tasks.filter.sweep import columns_needed, sweep
from tasks.stages import fingerprints, parameters
from tests.configs.test_filter_of_corpora import loaded
from tests.tasks.filter.evidence_rows import KNOWN, Row, evidence, table, utterance
from tests.tasks.filter.test_rules import NARROW, filtered, pack
from tests.tasks.filter.test_sweep import read


def marked(exclude: tuple[str, ...] = (), keep: tuple[str, ...] = ()) -> Any:
    return replace(KNOWN, marks=MarkedIds(exclude, keep))


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_an_excluded_utterance_is_dropped_and_a_kept_one_is_not(unit: Any) -> None:
    rows = [evidence("good"), evidence("bad", 50.0), evidence("worse", 60.0)]
    kept, reasons, details = filtered(rows, Filter(unit=unit), marked(("good",), ("bad",)))
    assert kept == [["bad"]]
    assert reasons == {"good": "excluded", "worse": "wer"}
    assert details["good"] == "it is marked exclude"


def test_an_excluded_utterance_takes_its_window_along_or_is_cut_out_of_it() -> None:
    context = marked(("b",))
    assert filtered([pack()], Filter(), context)[:2] == (
        [],
        {
            "a": "window_of_dropped_utterance",
            "b": "excluded",
            "c": "window_of_dropped_utterance",
        },
    )
    assert filtered([pack()], Filter(unit="utterance"), context)[:2] == (
        [["a", "c"]],
        {"b": "excluded"},
    )


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_a_window_is_excluded_by_its_id(unit: Any) -> None:
    kept, reasons, details = filtered([pack()], Filter(unit=unit), marked(("w",)))
    assert kept == []
    assert set(reasons.values()) == {"excluded"}
    assert details["a"] == "its window is marked exclude"


@pytest.mark.parametrize(
    ("keep", "is_kept"), [(("a", "b"), False), (("a", "b", "c"), True), (("w",), True)]
)
def test_a_rule_on_windows_needs_the_mark_of_all_of_it(
    keep: tuple[str, ...], is_kept: bool
) -> None:
    members = [utterance("a"), utterance("b"), utterance("c")]
    rows = [evidence("w", 50.0, members)]
    assert filtered(rows, Filter(), marked(keep=keep))[0] == ([["a", "b", "c"]] if is_kept else [])


def test_a_kept_utterance_saves_its_window_from_a_rule_on_utterances() -> None:
    rows = [pack(wer_percent=60.0)]
    settings = Filter(max_utterance_wer_percent=50.0)
    assert filtered(rows, settings, marked(keep=("b",)))[0] == [["a", "b", "c"]]
    assert filtered(rows, settings, marked(keep=("a",)))[0] == []


LEAKED = EvaluationSpeech(
    index=EvaluationIndex.of(["ami/test u"], ["a b"], [b"0" * 16], 2),
    audio_digests={"a": b"1" * 16},
)


@pytest.mark.parametrize(
    ("settings", "changes", "context", "reason"),
    [
        ({"rights": ("commercial_use",)}, {}, {"licence": NARROW.licence}, "licence"),
        ({"takedown": Takedown(ids=("a",))}, {}, {}, "takedown"),
        ({"contamination": {"ngram_words": 2}}, {}, {"evaluated": LEAKED}, "contamination"),
        ({"max_duration_s": 1.0}, {}, {}, "too_long"),
        ({}, {"num_tokens": 449}, {}, "too_long"),
        ({"fraction": 1e-9}, {}, {}, "beyond_fraction"),
        ({"hallucination": Hallucination(flags=("no_end",))}, {"flags": ["no_end"]}, {}, ""),
        ({"languages": ("de",)}, {}, {}, ""),
        ({"drop_upper_case": True}, {"is_upper_case": True}, {}, ""),
        ({}, {"words_per_s": 0.0}, {}, ""),
        ({}, {"num_reference_words": 0}, {}, ""),
    ],
)
def test_a_mark_overrides_judgements_of_quality_alone(
    settings: dict[str, Any], changes: Row, context: dict[str, Any], reason: str
) -> None:
    known = replace(marked(keep=("a",)), **context)
    kept, reasons, _ = filtered([evidence("a", **changes)], Filter.model_validate(settings), known)
    assert (kept, reasons) == (([], {"a": reason}) if reason else ([["a"]], {}))


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_a_sweep_heeds_marks(unit: Any) -> None:
    rows = table([evidence("x"), evidence("y", 50.0), evidence("z", 60.0), pack(wer_percent=60.0)])
    settings, context = Filter(unit=unit), marked(("x",), ("y",))
    asked = read(rows, columns_needed(settings, context))
    _, [strict, loose] = sweep(asked, settings, context, [10.0, 55.0])
    expected = 4 if unit == "window" else 3
    assert (strict.utterances, loose.utterances) == (expected, expected)


def with_marks(folder: Path, text: str, name: str = "marks.jsonl") -> RunConfig:
    (folder / name).write_text(text)
    return loaded(folder, {"marks": {"file": str(folder / name)}})


def filter_fingerprint(config: RunConfig, corpus: str) -> str:
    return fingerprints(config, corpus_of_run(config, corpus))["filter"]


def test_only_the_marks_of_a_corpus_are_in_its_fingerprint(tmp_path: Path) -> None:
    lines = [
        Mark(corpus="tedlium", id="a", mark="keep"),
        Mark(corpus="tedlium", id="b", mark="exclude"),
    ]
    plain = loaded(tmp_path, {})
    empty = with_marks(tmp_path, "")
    first = with_marks(tmp_path, marks_text(lines))
    moved = with_marks(tmp_path, "\n" + marks_text(reversed(lines)), "elsewhere.jsonl")
    other = with_marks(tmp_path, marks_text(lines[:1]))
    listed = loaded(tmp_path, {"marks": {"keep": ["a"], "exclude": ["b"]}})
    for corpus, differs in [("librispeech", False), ("tedlium", True)]:
        of = [filter_fingerprint(one, corpus) for one in (plain, empty, first, moved, other)]
        assert of[0] == of[1]
        assert of[2] == of[3]
        assert (of[2] != of[0], of[4] != of[2], of[4] != of[0]) == (differs,) * 3
    assert filter_fingerprint(listed, "tedlium") == filter_fingerprint(first, "tedlium")


def test_parameters_hold_a_digest_of_the_marks(tmp_path: Path) -> None:
    config = with_marks(tmp_path, marks_text([Mark(id="ann", mark="keep")]))
    found = str(parameters(config, corpus_of_run(config, "librispeech"))["filter"])
    assert "ann" not in found and "1 marked" in found and str(tmp_path) not in found

import pyarrow as pa
import pytest

from configs.schema import Filter
from storage.outcome import Rejected
from tasks.filter.schema import KEPT
from tasks.filter.shard import filter_shard
from tests.tasks.filter.evidence_rows import KNOWN, SILENT, evidence, table, utterance


def filtered(rows, settings=None, known=KNOWN):
    outcomes = list(filter_shard(table(rows), settings or Filter(), known))
    batches = [one for one in outcomes if isinstance(one, pa.RecordBatch)]
    assert all(batch.schema == KEPT for batch in batches)
    return (
        [name for batch in batches for name in batch.column("window_id").to_pylist()],
        [one for one in outcomes if isinstance(one, Rejected)],
    )


def test_only_rates_above_the_threshold_are_dropped():
    kept, rejected = filtered([evidence("a", 10.0), evidence("b", 10.01), evidence("c", 0.0)])
    assert kept == ["a", "c"]
    assert rejected == [Rejected("b", "dropped", "wer", "wer 10.0 % > 10 %")]


def test_the_threshold_is_a_setting():
    rows = [evidence("a", 23.1), evidence("b", 40.5)]
    kept, rejected = filtered(rows, Filter(max_wer_percent=25.5))
    assert kept == ["a"]
    assert rejected[0].detail == "wer 40.5 % > 25.5 %"


def test_each_utterance_of_a_dropped_window_is_dropped():
    rows = [evidence("a", 50.0, [utterance("a"), utterance("b"), utterance("c")])]
    kept, rejected = filtered(rows)
    assert kept == []
    assert [one.id for one in rejected] == ["a", "b", "c"]
    assert {one.reason for one in rejected} == {"wer"}


def test_the_first_rule_gives_the_reason():
    rows = [
        evidence("a", **{**SILENT, "words_per_s": 0.0}),
        evidence("b", **SILENT),
        evidence("c", 100.0, words_per_s=0.0),
    ]
    kept, rejected = filtered(rows)
    assert kept == []
    assert [one.reason for one in rejected] == [
        "empty_reference",
        "empty_reference",
        "empty_hypothesis",
    ]
    assert rejected[1].detail == "the label is 'a b'"


def test_a_window_without_reference_words_has_no_rate():
    rows = [evidence("a", **SILENT)]
    kept, rejected = filtered(rows, Filter(drop_empty_reference=False))
    assert (kept, rejected) == (["a"], [])


def test_an_empty_hypothesis_is_kept_if_the_settings_allow_it():
    rows = [evidence("a", 100.0, words_per_s=0.0)]
    settings = Filter(drop_empty_hypothesis=False, max_wer_percent=100)
    assert filtered(rows, settings) == (["a"], [])
    assert filtered(rows, Filter(drop_empty_hypothesis=False))[1][0].reason == "wer"


@pytest.mark.parametrize("num_windows", [0, 1])
def test_small_shards_have_no_empty_batches(num_windows):
    rows = [evidence(f"u{place}", 99.0) for place in range(num_windows)]
    outcomes = filter_shard(table(rows), Filter(), KNOWN)
    assert not any(isinstance(one, pa.RecordBatch) for one in outcomes)


def test_evidence_in_several_pieces_is_one_table():
    pieces = [table([evidence(name, wer)]) for name, wer in [("a", 0.0), ("b", 50.0), ("c", 5.0)]]
    outcomes = list(filter_shard(pa.concat_tables(pieces), Filter(), KNOWN))
    assert [one.id for one in outcomes if isinstance(one, Rejected)] == ["b"]

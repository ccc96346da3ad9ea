from dataclasses import replace

from benchmarks.gpu import graphs
from benchmarks.gpu.graphs import VARIANTS, Variant, check_graphs, rerun


def test_steps_that_are_replayed_give_the_same_tokens(setup):
    outcome = check_graphs(setup)
    assert outcome.passed, outcome.detail
    assert "identical in 10 of 10 runs" in outcome.detail
    assert outcome.figures["graphs"] > 10
    assert outcome.figures["replays"] > outcome.figures["graphs"]
    assert outcome.figures["max_logprob_difference"] == 0.0


def test_a_replay_that_gives_other_tokens_fails_and_is_named(setup, monkeypatch):
    """A replay of one variant is decoded without its timestamps."""
    decode = graphs.decode

    def decode_wrongly(work, variant, cache):
        is_replayed = isinstance(cache._record, graphs.Replays)
        wrong = replace(variant, timestamps=variant.timestamps and not is_replayed)
        return decode(work, wrong, cache)

    monkeypatch.setattr(graphs, "decode", decode_wrongly)
    monkeypatch.setattr(
        graphs, "VARIANTS", {"greedy": Variant(), "timestamps": VARIANTS["timestamps"]}
    )
    outcome = check_graphs(setup)
    assert outcome.passed is False
    assert "not in: tiny float32 timestamps, tiny bfloat16 timestamps" in outcome.detail


def test_a_check_without_a_replay_fails(setup, monkeypatch):
    """For instance if no key occurs twice: nothing would then have been compared."""
    monkeypatch.setattr(graphs, "VARIANTS", {})
    assert check_graphs(setup).passed is False


def test_windows_end_at_different_steps():
    size = graphs.SIZES["cpu"]["tiny"]
    work = graphs.Work(graphs.random_model(size), size.max_new_tokens, 20)
    hypotheses = graphs.decode(work, VARIANTS["greedy"], graphs.GraphCache(rerun))
    assert len({len(one.tokens) for one in hypotheses}) > 5
    assert len({one.tokens for one in hypotheses}) == 20

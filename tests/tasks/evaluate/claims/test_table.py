"""The claims of the paper: its own figures keep them, and each says what would measure it."""

from typing import Any

import pytest

from configs.evaluate import Evaluate
from tasks.evaluate.claims.table import claims
from tasks.evaluate.findings import CHUNKED, CLEAN, SEQUENTIAL, Claim
from tasks.evaluate.result import Report
from tests.tasks.evaluate.reports import (
    CTC,
    average,
    comparison,
    facts,
    paper_report,
    report,
    speculative,
    speed,
)

NUM_CLAIMS = 17


def by_name(made: Report) -> dict[str, Claim]:
    return {one.name: one for one in claims(made)}


def claim(name: str, **rows: Any) -> Claim:
    return by_name(report(**rows))[name]


def test_the_papers_own_figures_hold() -> None:
    found = claims(paper_report())
    assert len(found) == len({one.name for one in found}) == NUM_CLAIMS
    assert {one.verdict for one in found} == {"holds"}
    assert all(one.values for one in found)


def test_nothing_measured_has_the_same_rows_with_what_to_set() -> None:
    found = claims(report())
    assert [one.name for one in found] == [one.name for one in claims(paper_report())]
    assert {one.verdict for one in found} == {"not_measured"}
    assert {one.ours for one in found} == {"-"}
    for one in found:
        for word in one.reason.replace(";", " ").replace(",", " ").split():
            if word.startswith("evaluate."):
                assert word.split(".")[1].rstrip(":") in Evaluate.model_fields, one.reason


def test_texts_fit_the_table() -> None:
    for one in claims(paper_report()):
        assert len(one.claim) <= 33 and len(one.paper) <= 6 and len(one.ours) <= 22


def test_half_of_the_parameters_is_the_limit_and_layers_are_named() -> None:
    models = (facts("teacher", decoder_layers=6), facts("student", decoder_layers=2))
    found = claim("size", models=models)
    assert (found.verdict, found.ours, found.paper) == ("fails", "100.0 %", "49 %")
    assert "keeps 2 of 6 decoder layers" in found.reason


@pytest.mark.parametrize(
    ("student", "interval", "verdict", "certainty"),
    [
        (10.5, (0.2, 0.8), "holds", "and so is its whole 95 % interval"),
        (10.5, (-0.5, 1.5), "holds", "not significantly"),
        (11.5, (0.8, 2.2), "fails", "not significantly"),
        (11.5, (1.1, 1.9), "fails", "nor is any of its 95 % interval"),
        (11.5, None, "fails", "not at most 1 point; student 11.50 %, teacher 10.00 %"),
    ],
)
def test_the_figure_decides_and_the_reason_says_what_the_interval_adds(
    student: float, interval: tuple[float, float] | None, verdict: str, certainty: str
) -> None:
    found = claim(
        "wer_out_of_domain",
        averages=(
            average("teacher", 10.0),
            average("teacher", 10.0, domain="out"),
            average("student", student, domain="out"),
        ),
        comparisons=(comparison(student - 10, interval, domain="out"),),
    )
    assert (found.verdict, found.interval) == (verdict, interval)
    assert certainty in found.reason


def test_a_domain_without_corpora_is_not_measured() -> None:
    rates = [
        average(name, 10.0, domain=of) for name in ("teacher", "student") for of in ("in", "all")
    ]
    found = by_name(report(averages=tuple(rates)))
    assert found["wer_in_domain"].verdict == "holds"
    for name in ("wer_out_of_domain", "effective_robustness"):
        assert found[name].verdict == "not_measured"
        assert "add one that is not" in found[name].reason


def test_a_factor_that_is_reached_in_some_rounds_alone_says_so() -> None:
    slow, fast = (
        claim("short_form_speed", speed=(speed("student", factor),)) for factor in (2.0, 5.85)
    )
    assert (slow.verdict, slow.ours) == ("fails", "2.00× (1.9 to 2.1)")
    assert "not at least 5.8×, in no round" in slow.reason
    assert fast.verdict == "holds" and "but not in all rounds" in fast.reason


def test_other_batch_sizes_measure_nothing_of_it() -> None:
    rows = (speed("student", 9.0, batch_size=4), speed("student", 9.0, "decoder"))
    found = claim("short_form_speed", speed=rows)
    assert found.reason == "not timed at this batch size; add 1 to evaluate.timing_batch_sizes"


def test_long_form_is_judged_out_of_domain_where_there_is_such_speech() -> None:
    inside = tuple(
        average(name, wer, CHUNKED) for name, wer in (("teacher", 9.0), ("student", 8.0))
    )
    outside = (
        average("teacher", 9.0, CHUNKED, "out"),
        average("student", 9.5, CHUNKED, "out"),
    )
    alone, both = (claim("long_form_wer", averages=rows) for rows in (inside, inside + outside))
    assert alone.verdict == "holds" and "none is out of domain" in alone.reason
    assert both.verdict == "fails" and "none is out of domain" not in both.reason


def test_an_algorithm_that_was_left_out_is_named() -> None:
    rows = tuple(average(name, 9.0, CHUNKED) for name in ("teacher", "student"))
    found = claim("long_form_wer_to_sequential", averages=rows)
    assert found.reason == f"add {SEQUENTIAL} to evaluate.long_form.algorithms"


def test_repetitions_and_insertions_are_those_of_chunked_long_form() -> None:
    rows = (
        average("teacher", 9.0, CHUNKED, num_repeated_5grams=200, insertion_percent=3.0),
        average("student", 9.0, CHUNKED, num_repeated_5grams=150, insertion_percent=3.5),
        average("teacher", 9.0, CLEAN, num_repeated_5grams=1, insertion_percent=9.0),
        average("student", 9.0, CLEAN, num_repeated_5grams=2, insertion_percent=1.0),
    )
    found = by_name(report(averages=rows))
    assert (found["repeated_5grams"].ours, found["repeated_5grams"].verdict) == ("-25.0 %", "holds")
    assert (found["insertions"].ours, found["insertions"].verdict) == ("+0.50", "fails")
    none = tuple(
        average(name, 9.0, CHUNKED, num_repeated_5grams=0) for name in ("teacher", "student")
    )
    assert claim("repeated_5grams", averages=none).verdict == "not_measured"
    some = average("student", 9.0, CHUNKED, num_repeated_5grams=3)
    found = by_name(report(averages=(none[0], some)))
    assert found["repeated_5grams"].verdict == "fails"
    assert "student 3, teacher 0" in found["repeated_5grams"].reason


def noisy(growth: float, **changes: Any) -> Report:
    """A student 1 point above its teacher at 20 dB, and `growth` more at 0 dB."""
    rows = [
        average(model, wer, f"white_{snr_db}db")
        for snr_db, teacher, gap in ((20, 5.0, 1.0), (0, 30.0, 1.0 + growth))
        for model, wer in (("teacher", teacher), ("student", teacher + gap))
    ]
    return report(averages=tuple(rows), **changes)


@pytest.mark.parametrize(("growth", "verdict"), [(-3.0, "holds"), (0.9, "holds"), (1.1, "fails")])
def test_the_distance_to_the_teacher_must_not_grow_with_noise(growth: float, verdict: str) -> None:
    found = by_name(noisy(growth))["noise_like_teacher"]
    assert (found.verdict, found.ours) == (verdict, f"{growth:+.2f}")


def test_the_interval_of_the_growth_is_that_of_both_differences_at_their_worst() -> None:
    paired = (
        comparison(1.0, (0.5, 1.5), "white_20db"),
        comparison(1.5, (0.5, 2.5), "white_0db"),
    )
    found = by_name(noisy(0.5, comparisons=paired))["noise_like_teacher"]
    assert found.interval == (0.5 - 1.5, 2.5 - 0.5)
    assert by_name(noisy(0.5, comparisons=paired[:1]))["noise_like_teacher"].interval is None


def test_one_ratio_is_no_curve() -> None:
    rows = tuple(average(name, 9.0, "white_10db") for name in ("teacher", "student"))
    assert "two signal-to-noise ratios" in claim("noise_like_teacher", averages=rows).reason


def test_the_best_ctc_model_is_the_one_to_beat() -> None:
    models = tuple(facts(name, engine="ctc") for name in (CTC, "other"))
    rows = tuple(
        average(model, wer, f"white_{snr_db}db")
        for snr_db in (20, 0)
        for model, wer in (("teacher", 9.0), ("student", 20.0), (CTC, 50.0), ("other", 15.0))
    )
    found = claim("noise_against_ctc", models=models, averages=rows)
    assert (found.verdict, found.ours) == ("fails", "+5.00")
    assert found.values == {f"difference to {CTC}": -30.0, "difference to other": 5.0}
    assert "wav2vec2" in claim("noise_against_ctc", averages=rows).reason


def test_a_comparison_that_is_stated_the_other_way_round_counts_too() -> None:
    models = (facts(CTC, engine="ctc"),)
    rows = tuple(
        average(model, wer, f"white_{snr_db}db")
        for snr_db in (20, 0)
        for model, wer in (("teacher", 9.0), ("student", 20.0), (CTC, 50.0))
    )
    stated = comparison(30.0, (28.0, 33.0), "white_0db", model=CTC, baseline="student")
    found = claim("noise_against_ctc", models=models, averages=rows, comparisons=(stated,))
    assert (found.ours, found.interval) == ("-30.00 (-33.0 to -28.0)", (-33.0, -28.0))


def test_why_long_form_was_not_timed() -> None:
    rows = tuple(average(name, 9.0, CHUNKED) for name in ("teacher", "student"))
    timed = (speed("student", 2.0, CHUNKED, 16), speed("teacher", 1.0, CHUNKED, 16))
    name = "long_form_speed_to_sequential"
    assert "longer than a model's window" in claim(name, averages=rows).reason
    assert claim(name, averages=rows, speed=timed).reason == (
        "add sequential to evaluate.long_form.algorithms"
    )


def test_output_is_identical_only_if_all_of_it_is() -> None:
    rows = (speculative(1, 2.0), speculative(4, 1.0, fallback=True, num_identical=999))
    found = by_name(report(speculative=rows))
    assert found["speculative_identical"].verdict == "fails"
    assert "1,999 of 2,000" in found["speculative_identical"].reason
    assert found["speculative_speed_batch_1"].verdict == "holds"
    assert found["speculative_speed_batch_4"].reason.startswith("not timed at this batch size")

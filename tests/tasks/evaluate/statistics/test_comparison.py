"""Two models, or two runs, on the same utterances."""

import numpy as np
import pytest

from storage.errors import UserError
from tasks.evaluate.statistics.comparison import compare_samples, comparison, comparisons
from tasks.evaluate.statistics.results import set_result
from tests.tasks.evaluate.statistics.tables import counted

SPEAKERS = [(f"u{index}", f"s{index}") for index in range(4)]


def sample(errors, model="student", words=(10, 10, 10, 10), **names):
    rows = [(*one, *counts) for one, *counts in zip(SPEAKERS, words, errors, strict=False)]
    return counted(rows, model, **names)


def test_the_difference_is_in_points_and_macro_averaged() -> None:
    ours = [sample((2, 3, 4, 5)), sample((0, 0, 0, 0), set="giga/test")]
    theirs = [sample((0, 0, 0, 0), "base", set="giga/test"), sample((1, 2, 2, 5), "base")]
    found = comparison(ours, theirs)
    assert found is not None
    assert (found.model, found.baseline, found.condition) == ("student", "base", "clean")
    assert (found.num_sets, found.num_utterances) == (2, 8)
    assert found.difference == pytest.approx(5)  # (35 - 25 + 0 - 0) / 2
    assert found.p_value == 2 / 8  # of the three speakers who differ all do to one side
    low, high = found.interval or (0, 0)
    assert low < 5 < high


def test_the_opposite_comparison_has_the_opposite_difference() -> None:
    one, other = [sample((2, 3, 4, 5))], [sample((1, 2, 6, 5), "teacher")]
    there, back = comparison(one, other), comparison(other, one)
    assert there and back
    assert there.difference == -back.difference
    assert there.p_value == back.p_value


def test_pairing_removes_what_both_models_find_hard() -> None:
    """Speakers differ by far more than the models do."""
    random = np.random.default_rng(0)
    words, hard = np.full(4, 1_000), np.array([50, 300, 600, 900])
    theirs = [sample(hard + random.integers(0, 5, 4), "teacher", words)]
    ours = [sample(hard + 10 + random.integers(0, 5, 4), "student", words)]
    found, rates = comparison(ours, theirs), set_result(ours[0]).wer_interval
    assert found and found.interval and rates
    assert found.interval[0] > 0
    assert found.interval[1] - found.interval[0] < (rates[1] - rates[0]) / 20


def test_a_model_is_no_different_from_itself() -> None:
    found = comparison([sample((1, 2, 3, 4))], [sample((1, 2, 3, 4), "teacher")])
    assert found
    assert (found.difference, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_a_single_speaker_has_no_interval() -> None:
    one, other = ([sample((errors,), model, (10,))] for model, errors in (("a", 1), ("b", 2)))
    found = comparison(one, other)
    assert found
    assert (found.difference, found.interval, found.p_value) == (-10.0, None, 1.0)


def test_without_words_there_is_no_comparison() -> None:
    nothing = [sample((0,), model, (0,)) for model in ("student", "teacher")]
    assert comparison(nothing[:1], nothing[1:]) is None
    words = [sample((1, 2), model, (10, 10), set="giga/test") for model in ("student", "teacher")]
    found = comparison([nothing[0], words[0]], [nothing[1], words[1]])
    assert found
    assert (found.num_sets, found.num_utterances) == (1, 2)


def test_utterances_of_one_model_alone_are_refused() -> None:
    with pytest.raises(ValueError, match="have 3 of 4 and 3 utterances of libri/test in common"):
        comparison([sample((1, 1, 1, 1))], [sample((1, 1, 1), "teacher")])
    with pytest.raises(ValueError, match="and 1 of those have other references"):
        comparison([sample((1,))], [sample((1,), "teacher", (9,))])
    with pytest.raises(ValueError, match="only one of student and teacher has the set giga/test"):
        comparison(
            [sample((1,)), sample((1,), set="giga/test")],
            [sample((1,), "teacher")],
        )


def test_all_models_and_conditions_are_compared_with_the_teacher() -> None:
    samples = [
        sample((1, 2, 3, 4), model, condition=condition)
        for condition in ("clean", "white_0db")
        for model in ("student", "teacher", "base")
    ]
    found = comparisons([*samples, sample((1,), condition="chunked")])
    assert [(one.model, one.baseline, one.condition) for one in found] == [
        ("student", "teacher", "clean"), ("base", "teacher", "clean"),
        ("student", "teacher", "white_0db"), ("base", "teacher", "white_0db"),
    ]  # fmt: skip


def test_runs_are_compared_on_the_utterances_that_both_have() -> None:
    a = [counted([("u0", "s0", 10, 1), ("u1", "s1", 10, 3), ("u2", "s2", 10, 9)])]
    b = [counted([("u9", "s9", 10, 9), ("u1", "s1", 10, 4), ("u0", "s0", 10, 2)])]
    of_set, on_average = compare_samples(a, b)
    assert (of_set.model, of_set.condition, of_set.set) == ("student", "clean", "libri/test")
    assert (of_set.num_utterances, of_set.num_only_in_a, of_set.num_only_in_b) == (2, 1, 1)
    assert (of_set.wer_percent_a, of_set.wer_percent_b) == (20.0, 30.0)
    assert of_set.difference == pytest.approx(10)
    assert of_set.interval == pytest.approx((10, 10))
    assert of_set.p_value == 0.5
    assert on_average == of_set.model_copy(update={"set": None})


def test_what_one_run_alone_has_is_named_without_rates() -> None:
    a = [sample((1, 2, 3, 4)), sample((1,), set="giga/test")]
    b = [sample((2, 2, 2, 2)), sample((1,), condition="chunked")]
    rows = {(one.condition, one.set): one for one in compare_samples(a, b)}
    assert list(rows) == [
        ("clean", "libri/test"), ("clean", "giga/test"), ("clean", None),
        ("chunked", "libri/test"), ("chunked", None),
    ]  # fmt: skip
    only_a = rows["clean", "giga/test"]
    assert (only_a.num_utterances, only_a.num_only_in_a, only_a.num_only_in_b) == (0, 1, 0)
    assert only_a.difference is only_a.wer_percent_a is only_a.p_value is None
    assert rows["chunked", None].num_only_in_b == 1
    both = rows["clean", None]
    assert (both.num_utterances, both.num_only_in_a) == (4, 1)
    assert (both.wer_percent_a, both.wer_percent_b) == (25.0, 20.0)


def test_runs_with_other_references_are_refused() -> None:
    with pytest.raises(UserError, match="1 of 2 utterances of libri/test have references"):
        compare_samples([sample((1, 1))], [sample((1, 1), words=(10, 9))])

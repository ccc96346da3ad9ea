"""The figures of a set and of a domain, by hand and beside jiwer."""

import subprocess
import sys

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluate.findings import Average, SetResult
from tasks.evaluate.statistics.bootstrap import interval
from tasks.evaluate.statistics.results import averages, robustness, set_result, wer_estimate
from tasks.evaluate.statistics.sample import Sample
from tests.tasks.evaluate.statistics.tables import counted, transcribed

ROWS = [
    ("b", "s1", "the cat sat on the mat", "the cat sat on mat"),
    ("a", "s2", "hello world", "hallo world there"),
    ("c", None, "one two", "one two"),
]


def result(rows, **changes) -> SetResult:
    names = {"model": "student", "condition": "clean", "set": "libri/test", **changes}
    return set_result(Sample.of([transcribed(rows)], **names))


def test_the_counts_and_rates_of_a_set_by_hand() -> None:
    found = result(ROWS)
    assert found.wer_interval is not None
    assert found == SetResult(
        model="student",
        condition="clean",
        set="libri/test",
        num_utterances=3,
        num_speakers=3,
        hours=1.5,
        num_reference_words=10,
        substitutions=1,
        deletions=1,
        insertions=1,
        num_reference_chars=22 + 11 + 7,
        char_errors=4 + 7,
        num_repeated_5grams=0,
        wer_percent=30.0,
        cer_percent=27.5,
        substitution_percent=10.0,
        deletion_percent=10.0,
        insertion_percent=10.0,
        wer_interval=found.wer_interval,
    )


def test_shards_and_their_order_do_not_matter() -> None:
    names = {"model": "student", "condition": "clean", "set": "libri/test"}
    shards = [transcribed(ROWS[:1]), transcribed(ROWS[1:])]
    assert set_result(Sample.of(shards, **names)) == result(ROWS)
    assert set_result(Sample.of(shards[::-1], **names)) == result(ROWS)


def test_repetitions_are_those_of_the_whole_set() -> None:
    loop = "so it goes on and on"
    rows = [("a", "s", loop, loop), ("b", "s", loop, loop)]
    # of 12 words, with 8 5-grams: the second and last two are those of the first
    assert result(rows).num_repeated_5grams == 2
    assert result(rows[:1]).num_repeated_5grams == 0


def test_an_utterance_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a is twice in the results of student on libri/test"):
        result([ROWS[1], ROWS[1]])


def test_a_set_without_words_has_no_rates() -> None:
    found = result([("a", "s1", "", "oh no"), ("b", "s2", "", "")])
    assert (found.insertions, found.num_reference_words) == (2, 0)
    assert found.wer_percent is found.cer_percent is found.insertion_percent is None
    assert found.wer_interval is None
    assert result([]).wer_percent is None


def test_a_single_speaker_has_no_interval() -> None:
    rows = [("a", "s1", "a b", "a c"), ("b", "s1", "a b", "a b")]
    found = result(rows)
    assert (found.wer_percent, found.num_speakers, found.wer_interval) == (25.0, 1, None)


def test_unknown_speakers_count_by_utterance() -> None:
    unknown = [("a", None, 4, 1), ("b", None, 4, 0), ("c", None, 4, 2)]
    named = [(name, name, *counts) for name, _, *counts in unknown]
    assert set_result(counted(unknown)) == set_result(counted(named))
    of_one = set_result(counted([(name, "s", *counts) for name, _, *counts in unknown[:2]]))
    assert of_one.num_speakers == 1


TEXT = st.lists(st.sampled_from(["a", "bc", "def", "the", "boat"]), max_size=8).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), min_size=1, max_size=6))
def test_the_rates_are_those_of_jiwer(pairs) -> None:
    rows = [(f"u{index}", f"s{index % 3}", *pair) for index, pair in enumerate(pairs)]
    found = result(rows)
    references, hypotheses = [list(side) for side in zip(*pairs, strict=True)]
    words = jiwer.process_words(references, hypotheses)
    chars = jiwer.process_characters(references, hypotheses)
    counts = found.substitutions, found.deletions, found.insertions
    assert counts == (words.substitutions, words.deletions, words.insertions)
    assert found.wer_percent == pytest.approx(100 * words.wer, rel=1e-12)
    assert found.char_errors == chars.substitutions + chars.deletions + chars.insertions
    assert found.num_reference_chars == chars.hits + chars.substitutions + chars.deletions
    assert found.cer_percent == pytest.approx(100 * chars.cer, rel=1e-12)


SAMPLES = [
    counted([("a", "s1", 10, 1), ("b", "s2", 10, 3)], set="libri/test"),  # 20 %
    counted([("a", "s1", 90, 9), ("b", "s2", 10, 1)], set="giga/test"),  # 10 %
    counted([("a", "s1", 4, 2), ("b", "s2", 4, 0), ("c", "s3", 2, 2)], set="chime/test"),  # 40 %
    counted([("a", "s1", 0, 0)], set="empty/test"),
]


def by_domain(found: list[Average]) -> dict[str, Average]:
    return {one.domain: one for one in found}


def test_each_set_has_the_same_weight_and_those_without_words_none() -> None:
    found = by_domain(averages(SAMPLES, {"libri", "giga", "empty"}))
    rates = {domain: (one.num_sets, one.wer_percent) for domain, one in found.items()}
    assert rates == {
        "all": (3, pytest.approx(70 / 3)),
        "in": (2, pytest.approx(15)),
        "out": (1, pytest.approx(40)),
    }
    assert found["in"].substitution_percent == pytest.approx(15)
    assert found["in"].insertion_percent == 0
    repeated = [one.num_repeated_5grams for one in SAMPLES[:2]]
    assert found["in"].num_repeated_5grams == sum(repeated) / 2
    assert averages(SAMPLES[3:], ()) == []


def test_the_average_of_one_set_has_its_interval() -> None:
    (found,) = [one for one in averages(SAMPLES[:1], ()) if one.domain == "out"]
    assert found.wer_interval == interval(wer_estimate(SAMPLES[0]), lowest=0)
    assert found.wer_interval == pytest.approx(set_result(SAMPLES[0]).wer_interval)


def test_an_average_with_a_set_of_one_speaker_has_no_interval() -> None:
    samples = [SAMPLES[0], counted([("a", "s1", 10, 5)], set="one/test")]
    (found,) = [one for one in averages(samples, ()) if one.domain == "all"]
    assert (found.wer_percent, found.wer_interval) == (35.0, None)


def test_conditions_and_models_are_averaged_by_themselves() -> None:
    samples = [
        counted([("a", "s", 10, errors)], model=model, condition=condition)
        for errors, (model, condition) in enumerate(
            [("teacher", "clean"), ("teacher", "white_0db"), ("student", "clean")], 1
        )
    ]
    found = averages(samples, ["libri"])
    rates = {(one.model, one.condition, one.domain): one.wer_percent for one in found}
    assert rates == {
        ("teacher", "clean", "all"): 10, ("teacher", "clean", "in"): 10,
        ("teacher", "white_0db", "all"): 20, ("teacher", "white_0db", "in"): 20,
        ("student", "clean", "all"): 30, ("student", "clean", "in"): 30,
    }  # fmt: skip


def test_robustness_is_the_change_to_the_teacher_in_and_out_of_domain() -> None:
    samples = [
        counted([("a", "s", 100, errors)], model=model, set=name, condition=condition)
        for model, name, condition, errors in [
            ("teacher", "libri/test", "clean", 10), ("teacher", "chime/test", "clean", 20),
            ("student", "libri/test", "clean", 9), ("student", "chime/test", "clean", 25),
            ("student", "chime/test", "white_0db", 90),
        ]
    ]  # fmt: skip
    teacher, student = robustness(averages(samples, ["libri"]))
    assert (teacher.in_domain_change_percent, teacher.out_of_domain_change_percent) == (0, 0)
    assert (student.in_domain_percent, student.out_of_domain_percent) == (9, 25)
    assert student.in_domain_change_percent == pytest.approx(-10)
    assert student.out_of_domain_change_percent == pytest.approx(25)


def test_robustness_without_sets_in_domain_or_errors_is_not_known() -> None:
    samples = [counted([("a", "s", 10, 0)], model=model) for model in ("teacher", "student")]
    _, student = robustness(averages(samples, ()))
    assert student.in_domain_percent is student.in_domain_change_percent is None
    assert (student.out_of_domain_percent, student.out_of_domain_change_percent) == (0, None)


def test_statistics_need_no_models() -> None:
    code = (
        "import sys, tasks.evaluate.statistics.pooled, tasks.evaluate.statistics.comparison;"
        "sys.exit(bool({'torch', 'transformers', 'prefect'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

import pyarrow as pa
import pytest

from tasks.evaluate.schema import MEASURED
from tasks.evaluate.statistics.pooled import ModelResult, pooled_interval, summarise
from tasks.evaluate.statistics.rates import macro_average, num_repeated_5grams
from tests.tasks.evaluate.statistics.tables import counted

SIZE = {"model": "student", "num_parameters": 7, "decoder_layers": 2}


def measured(*rows):
    names = ["hits", "substitutions", "deletions", "insertions"]
    return pa.Table.from_pylist(
        [
            {
                "id": f"u{index}",
                "duration_s": 1800.0,
                "reference": "?",
                "hypothesis": hypothesis,
                "num_reference_words": sum(counts[:3]),
                **dict(zip(names, counts, strict=True)),
            }
            for index, (hypothesis, *counts) in enumerate(rows)
        ],
        schema=MEASURED,
    )


def test_rates_are_over_all_words_of_all_tables():
    tables = [
        measured(("a", 6, 1, 1, 0), ("b", 1, 0, 0, 2)),
        measured(("c", 1, 0, 0, 0)),
        measured(),
    ]
    result = summarise(tables, **SIZE, seconds=3.5)
    assert result == ModelResult(
        **SIZE,
        num_utterances=3,
        hours=1.5,
        num_reference_words=10,
        wer_percent=40.0,
        substitution_percent=10.0,
        deletion_percent=10.0,
        insertion_percent=20.0,
        num_repeated_5grams=0,
        seconds=3.5,
    )


def test_no_measurements_have_no_rate():
    result = summarise([], **SIZE)
    assert (result.num_utterances, result.wer_percent, result.insertion_percent) == (0, None, None)


@pytest.mark.parametrize(
    ("hypotheses", "num_repeated"),
    [
        (["a b c d e"], 0),
        (["no no no no no no no"], 2),
        (["a b c d e", "a b c d e"], 1),
        (["a b c d"], 0),
        ([], 0),
    ],
)
def test_repeated_5grams_are_all_minus_distinct(hypotheses, num_repeated):
    assert num_repeated_5grams(hypotheses) == num_repeated


def test_a_result_round_trips_through_json():
    result = summarise([measured(("a", 1, 0, 0, 0))], **SIZE)
    assert ModelResult.model_validate_json(result.model_dump_json()) == result


def test_in_the_mean_over_sets_each_counts_the_same():
    assert macro_average([10.0, None, 40.0]) == 25.0
    assert macro_average([None]) is None


def test_the_interval_over_all_words_knows_speakers_by_corpus() -> None:
    train = counted([("a", "s1", 10, 1), ("b", "s2", 10, 5)], set="libri/train")
    test = counted([("c", "s1", 10, 3), ("d", "s3", 20, 1)], set="libri/test")
    together = counted([("a", "s1", 20, 4), ("b", "s2", 10, 5), ("d", "s3", 20, 1)])
    assert pooled_interval([train, test]) == pooled_interval([test, train])
    assert pooled_interval([train, test]) == pooled_interval([together])
    other = counted([("c", "s1", 10, 3), ("d", "s3", 20, 1)], set="giga/test")
    assert pooled_interval([train, other]) != pooled_interval([train, test])


def test_there_is_no_interval_without_words() -> None:
    assert pooled_interval([]) is None
    assert pooled_interval([counted([("a", "s1", 0, 0), ("b", "s2", 0, 0)])]) is None

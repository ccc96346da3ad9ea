import random

import pyarrow as pa
import pytest

from configs.schema import Filter, WithoutReference
from storage.schema import EVIDENCE
from tasks.filter.rules import reason_places, rules
from tasks.filter.sweep import Amount, columns_asked, sweep

THRESHOLDS = [0.0, 5.0, 10.0, 12.5, 100.0]


def table(seed=0, num_rows=400):
    chance = random.Random(seed)
    rows = []
    for number in range(num_rows):
        num_words = chance.choice([0, 1, 8, 8, 8])
        rows.append(
            {
                "window_id": str(number),
                "utterance_ids": [f"{number}-{one}" for one in range(chance.randint(1, 3))],
                "duration_s": chance.uniform(0.5, 30),
                "reference": "a " * num_words,
                "hypothesis": chance.choice(["", "a b", "a b a b a b a b a b a b"]),
                "num_reference_words": num_words,
                "hits": 0,
                "substitutions": 0,
                "deletions": 0,
                "insertions": 0,
                "wer_percent": chance.choice([*THRESHOLDS, 10.01, 250.0]) if num_words else None,
                "cer_percent": None,
                "avg_logprob": -chance.random(),
                "no_speech_prob": chance.random(),
                "compression_ratio": 3 * chance.random(),
            }
        )
    return pa.Table.from_pylist(rows, schema=EVIDENCE)


SETTINGS = [
    Filter(),
    Filter(drop_empty_hypothesis=False),
    Filter(drop_empty_reference=False),
    Filter(
        drop_empty_reference=False,
        drop_empty_hypothesis=False,
        without_reference=WithoutReference(max_repeats=None, min_avg_logprob=None),
    ),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_each_threshold_keeps_what_the_filter_keeps_with_it(settings):
    evidence = table()
    rows = evidence.to_pylist()
    heard, kept = sweep(evidence.select(columns_asked(settings)), settings, THRESHOLDS)
    for percent, amount in zip(THRESHOLDS, kept, strict=True):
        own = settings.model_copy(update={"max_wer_percent": percent})
        places = reason_places(evidence, rules(own))
        passed = [row for row, place in zip(rows, places, strict=True) if place is None]
        assert amount.windows == len(passed)
        assert amount.utterances == sum(len(row["utterance_ids"]) for row in passed)
        assert amount.hours == pytest.approx(sum(row["duration_s"] for row in passed) / 3600)
    assert heard.windows == len(rows)
    assert heard.utterances == sum(len(row["utterance_ids"]) for row in rows)
    assert kept[0].windows < kept[2].windows < kept[-1].windows < heard.windows


def test_a_table_of_several_chunks_is_one_table():
    one, other = table(1, 30), table(2, 50)
    together = sweep(pa.concat_tables([one, other]), Filter(), THRESHOLDS)
    apart = [sweep(part, Filter(), THRESHOLDS) for part in (one, other)]
    assert together[0].windows == (apart[0][0] + apart[1][0]).windows
    for place, amount in enumerate(together[1]):
        summed = apart[0][1][place] + apart[1][1][place]
        assert (amount.windows, amount.utterances) == (summed.windows, summed.utterances)
        assert amount.hours == pytest.approx(summed.hours)


def test_nothing_gives_nothing():
    assert sweep(EVIDENCE.empty_table(), Filter(), [5.0]) == (Amount(), [Amount()])


def test_only_the_columns_that_the_rules_ask_are_needed():
    assert "reference" not in columns_asked(Filter())
    assert "avg_logprob" not in columns_asked(Filter())
    assert "avg_logprob" in columns_asked(Filter(drop_empty_reference=False))

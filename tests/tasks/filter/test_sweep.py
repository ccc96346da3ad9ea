import random
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import Filter, Hallucination, Takedown, WithoutReference
from storage.outcome import Rejected
from storage.schema import row_ids
from tasks.filter.shard import filter_shard
from tasks.filter.sweep import Amount, columns_needed, sweep
from tasks.score.schema import EVIDENCE
from tests.tasks.filter.evidence_rows import KNOWN, evidence, table, utterance

THRESHOLDS = [0.0, 5.0, 10.0, 12.5, 100.0]


def made_up(seed=0, num_rows=400):
    chance = random.Random(seed)

    def compared():
        num_words = chance.choice([0, 1, 8, 8, 8])
        return {
            "duration_s": chance.uniform(0.5, 30),
            "num_reference_words": num_words,
            "words_per_s": chance.choice([0.0, 1.5, 3.0]),
            "most_repeats": chance.randint(1, 7),
            "wer_percent": chance.choice([*THRESHOLDS, 10.01, 250.0]) if num_words else None,
            "compression_ratio": 3 * chance.random(),
            "is_upper_case": chance.random() < 0.1,
        }

    def members(number):
        doubts = [False, *(chance.random() < 0.3 for _ in range(chance.randint(0, 3))), False]
        return [
            utterance(
                f"{number}-{place}",
                speaker_id=chance.choice(["ann", "bob", None]),
                is_start_ambiguous=start,
                is_end_ambiguous=end,
                no_reference="music: <MUSIC>" if chance.random() < 0.05 else None,
                **compared(),
            )
            for place, (start, end) in enumerate(pairwise(doubts))
        ]

    def window(number, within):
        shared = compared() | {"duration_s": sum(one["duration_s"] for one in within)}
        return evidence(
            str(number),
            utterances=within,
            avg_logprob=-chance.random(),
            no_speech_prob=chance.random(),
            flags=chance.choice([[], ["no_end"], ["avg_logprob", "no_end"]]),
            **shared,
        )

    return table([window(number, members(number)) for number in range(num_rows)])


def read(rows, columns):
    """The given columns of a Parquet file of these rows."""
    file = pa.BufferOutputStream()
    pq.write_table(rows, file)
    return pq.ParquetFile(pa.BufferReader(file.getvalue())).read(columns=columns)


SETTINGS = [
    Filter(),
    Filter(fraction=0.4),
    Filter(unit="utterance", fraction=0.4, fraction_seed=1),
    Filter(drop_empty_hypothesis=False),
    Filter(drop_empty_reference=False),
    Filter(
        drop_empty_reference=False,
        drop_empty_hypothesis=False,
        without_reference=WithoutReference(max_repeats=None, min_avg_logprob=None),
    ),
    Filter(
        max_utterance_wer_percent=50.0,
        drop_upper_case=True,
        hallucination=Hallucination(max_repeats=4, flags=("avg_logprob",)),
        takedown=Takedown(speakers=("bob",), ids=("3-0",)),
    ),
]
SETTINGS += [settings.model_copy(update={"unit": "utterance"}) for settings in SETTINGS]


@pytest.mark.parametrize("settings", SETTINGS)
def test_each_threshold_keeps_what_the_filter_would_keep(settings):
    rows = made_up()
    asked = read(rows, columns_needed(settings, KNOWN))
    total, kept = sweep(asked, settings, KNOWN, THRESHOLDS)
    for percent, amount in zip(THRESHOLDS, kept, strict=True):
        own = settings.model_copy(update={"max_wer_percent": percent})
        outcomes = list(filter_shard(rows, own, KNOWN))
        passed = [
            row for one in outcomes if isinstance(one, pa.RecordBatch) for row in one.to_pylist()
        ]
        assert amount.windows == len(passed)
        assert amount.utterances == sum(len(row["utterance_ids"]) for row in passed)
        assert amount.hours == pytest.approx(sum(row["duration_s"] for row in passed) / 3600)
        rejected = [one.id for one in outcomes if isinstance(one, Rejected)]
        ids = [name for row in passed for name in row["utterance_ids"]] + rejected
        assert sorted(ids) == sorted(row_ids(rows))
    assert total.windows == rows.num_rows
    assert total.utterances == len(rows["utterance_ids"].combine_chunks().flatten())
    assert kept[0].windows < kept[2].windows < kept[-1].windows < total.windows


@pytest.mark.parametrize("settings", [SETTINGS[0], SETTINGS[-1]])
def test_a_table_of_several_chunks_is_one_table(settings):
    one, other = made_up(1, 30), made_up(2, 50)
    together = sweep(pa.concat_tables([one, other]), settings, KNOWN, THRESHOLDS)
    apart = [sweep(part, settings, KNOWN, THRESHOLDS) for part in (one, other)]
    assert together[0].windows == (apart[0][0] + apart[1][0]).windows
    for place, amount in enumerate(together[1]):
        summed = apart[0][1][place] + apart[1][1][place]
        assert (amount.windows, amount.utterances) == (summed.windows, summed.utterances)
        assert amount.hours == pytest.approx(summed.hours)


@pytest.mark.parametrize("settings", [SETTINGS[0], SETTINGS[-1]])
def test_an_empty_table_gives_zero(settings):
    empty = EVIDENCE.empty_table()
    assert sweep(empty, settings, KNOWN, [5.0]) == (Amount(), [Amount()])


def test_only_the_columns_of_the_rules_are_needed():
    asked = columns_needed(Filter(), KNOWN)
    nested = [name for name in asked if name.startswith("utterances.")]
    assert nested == [
        "utterances.list.element.is_end_ambiguous",  # to count the utterances
        "utterances.list.element.no_reference",
    ]
    assert {"reference", "avg_logprob"}.isdisjoint(asked)
    assert "avg_logprob" in columns_needed(Filter(drop_empty_reference=False), KNOWN)
    own = columns_needed(Filter(max_utterance_wer_percent=50.0), KNOWN)
    assert "utterances.list.element.wer_percent" in own

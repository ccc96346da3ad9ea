"""A model on all held-out speech at once: over all words, whichever set they are of."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.record import Record
from tasks.evaluate.findings import Interval
from tasks.evaluate.statistics.bootstrap import estimate, interval
from tasks.evaluate.statistics.rates import num_repeated_5grams, percent, word_errors
from tasks.evaluate.statistics.sample import Sample, sums
from tasks.text.comparison import WordErrors


class ModelResult(Record):
    """The metrics of a model on a set; rates are over all words, not means over utterances.

    `num_repeated_5grams` are those in the output of all sets together. `seconds` is measured by
    `tasks.evaluate.timing`; None if nothing was timed.
    """

    model: str
    num_parameters: int
    decoder_layers: int
    num_utterances: int
    hours: float
    num_reference_words: int
    wer_percent: float | None
    substitution_percent: float | None
    deletion_percent: float | None
    insertion_percent: float | None
    num_repeated_5grams: int
    seconds: float | None = None


def summarise(
    tables: Iterable[pa.Table],
    *,
    model: str,
    num_parameters: int,
    decoder_layers: int,
    seconds: float | None = None,
) -> ModelResult:
    """Aggregate tables of the schema MEASURED; rates are None if there are no reference words."""
    errors = WordErrors()
    num_utterances, duration_s = 0, 0.0
    hypotheses: list[str] = []
    for table in tables:
        errors += word_errors(table)
        num_utterances += table.num_rows
        duration_s += pc.sum(table.column("duration_s")).as_py() or 0.0
        hypotheses.extend(table.column("hypothesis").to_pylist())
    return ModelResult(
        model=model,
        num_parameters=num_parameters,
        decoder_layers=decoder_layers,
        num_utterances=num_utterances,
        hours=duration_s / 3600,
        num_reference_words=errors.num_reference_words,
        wer_percent=errors.wer_percent,
        substitution_percent=percent(errors.substitutions, errors.num_reference_words),
        deletion_percent=percent(errors.deletions, errors.num_reference_words),
        insertion_percent=percent(errors.insertions, errors.num_reference_words),
        num_repeated_5grams=num_repeated_5grams(hypotheses),
        seconds=seconds,
    )


def pooled_interval(samples: Sequence[Sample]) -> Interval | None:
    """The interval of the word error rate over all words of several sets; None without words.

    A speaker in several splits of a corpus is one speaker, one of the same name in another corpus
    is another.
    """
    by_speaker = [one.by_speaker for one in samples]
    names = [(one.corpus, name) for one in samples for name in one.speaker_names]
    if not any(one.has_words for one in samples):
        return None
    unit = {name: index for index, name in enumerate(sorted(set(names)))}
    units = np.array([unit[name] for name in names], np.intp)
    errors, words = (np.concatenate(of_all) for of_all in zip(*by_speaker, strict=True))
    found = estimate(sums(units, errors), sums(units, words), "pooled")
    return interval(found, lowest=0)

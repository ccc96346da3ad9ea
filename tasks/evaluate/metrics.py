"""Corpus-level metrics of a model from its tables of transcripts; needs no model and no audio."""

import math
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from storage.record import Record
from tasks.text.comparison import WordErrors

_NGRAM_WORDS = 5


class ModelResult(Record):
    """The metrics of a model on a set; rates are over all words, not means over utterances.

    `insertion_percent` is the paper's IER, with SER and DER beside it, and
    `num_repeated_5grams` its 5-Dup (arXiv 2311.00430, table 8). `seconds` is
    measured by `tasks.evaluate.timing`; None if nothing was timed.
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
        duration_s += _total(table, "duration_s")
        hypotheses.extend(table.column("hypothesis").to_pylist())
    return ModelResult(
        model=model,
        num_parameters=num_parameters,
        decoder_layers=decoder_layers,
        num_utterances=num_utterances,
        hours=duration_s / 3600,
        num_reference_words=errors.num_reference_words,
        wer_percent=errors.wer_percent,
        substitution_percent=_percent(errors.substitutions, errors.num_reference_words),
        deletion_percent=_percent(errors.deletions, errors.num_reference_words),
        insertion_percent=_percent(errors.insertions, errors.num_reference_words),
        num_repeated_5grams=num_repeated_5grams(hypotheses),
        seconds=seconds,
    )


def word_errors(table: pa.Table) -> WordErrors:
    """The sum over the utterances of a table of the schema MEASURED."""
    return WordErrors(
        hits=int(_total(table, "hits")),
        substitutions=int(_total(table, "substitutions")),
        deletions=int(_total(table, "deletions")),
        insertions=int(_total(table, "insertions")),
    )


def macro_average(wer_percents: Iterable[float | None]) -> float | None:
    """The mean over sets, all with the same weight, as in the paper (arXiv 2311.00430).

    Sets without reference words, whose rate is None, are left out; None if no other is left.
    """
    rates = [one for one in wer_percents if one is not None]
    return math.fsum(rates) / len(rates) if rates else None


def num_repeated_5grams(hypotheses: Sequence[str]) -> int:
    """Repeated 5-grams in the concatenation of all hypotheses; many indicate loops.

    As in the paper (table 8): the number of 5-grams minus the number of distinct ones.
    """
    words = " ".join(hypotheses).split()
    grams = list(zip(*(words[start:] for start in range(_NGRAM_WORDS)), strict=False))
    return len(grams) - len(set(grams))


def _total(table: pa.Table, column: str) -> float:
    total: float | None = pc.sum(table.column(column)).as_py()
    return total or 0


def _percent(count: int, num_reference_words: int) -> float | None:
    return 100 * count / num_reference_words if num_reference_words else None

"""Error rates and repetitions, as the paper defines them (arXiv 2311.00430)."""

import math
from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tasks.text.comparison import WordErrors

_NGRAM_WORDS: Final = 5


def percent(count: int, num_reference: int) -> float | None:
    """A count in percent of the words or characters of the references; None if there are none."""
    return 100 * count / num_reference if num_reference else None


def macro_average(rates: Iterable[float | None]) -> float | None:
    """The mean over sets, all with the same weight, as in the paper.

    Sets without reference words, whose rate is None, are left out; None if no other is left.
    """
    known = [one for one in rates if one is not None]
    return math.fsum(known) / len(known) if known else None


def num_repeated_5grams(hypotheses: Sequence[str]) -> int:
    """Repeated 5-grams in the concatenation of all hypotheses; many indicate loops.

    That is 5-Dup of Table 8 and of the published script, per set: the number of word 5-grams minus
    the number of distinct ones.
    """
    words = " ".join(hypotheses).split()
    grams = list(zip(*(words[start:] for start in range(_NGRAM_WORDS)), strict=False))
    return len(grams) - len(set(grams))


def word_errors(table: pa.Table) -> WordErrors:
    """The sum over the utterances of a table of the schema MEASURED."""
    return WordErrors(
        **{
            name: pc.sum(table.column(name)).as_py() or 0
            for name in ("hits", "substitutions", "deletions", "insertions")
        }
    )

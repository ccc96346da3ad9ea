"""Tables of transcripts (MEASURED) made by hand."""

from collections.abc import Iterable

import pyarrow as pa

from tasks.evaluate.schema import MEASURED
from tasks.evaluate.statistics.sample import Sample
from tasks.text.comparison import character_edits, count_word_errors


def transcribed(rows: Iterable[tuple[str, str | None, str, str]]) -> pa.Table:
    """A row per id, speaker, reference and hypothesis; each lasts half an hour."""
    rows = list(rows)
    references, hypotheses = [row[2] for row in rows], [row[3] for row in rows]
    errors = count_word_errors(references, hypotheses)
    chars = zip(*character_edits(references, hypotheses), strict=True)
    return pa.Table.from_pylist(
        [
            {
                "id": name,
                "speaker_id": speaker,
                "duration_s": 1800.0,
                "reference": reference,
                "hypothesis": hypothesis,
                "num_reference_words": one.num_reference_words,
                "hits": one.hits,
                "substitutions": one.substitutions,
                "deletions": one.deletions,
                "insertions": one.insertions,
                "num_reference_chars": num_chars,
                "char_errors": num_edits,
            }
            for (name, speaker, reference, hypothesis), one, (num_chars, num_edits) in zip(
                rows, errors, chars, strict=True
            )
        ],
        schema=MEASURED,
    )


def counted(
    rows: Iterable[tuple[str, str | None, int, int]],
    model: str = "student",
    set: str = "libri/test",
    condition: str = "clean",
) -> Sample:
    """A sample with a row per id, speaker, reference words and substitutions."""
    tables = [
        transcribed(
            (name, speaker, "a " * words, "b " * errors + "a " * (words - errors))
            for name, speaker, words, errors in rows
        )
    ]
    return Sample.of(tables, model=model, condition=condition, set=set)

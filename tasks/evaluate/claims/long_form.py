"""Claims about long recordings: errors, and signs of hallucination."""

import math
from collections.abc import Iterator
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from tasks.evaluate.claims.found import NO_LONG_FORM, Difference, Found
from tasks.evaluate.claims.statement import Statement
from tasks.evaluate.findings import CHUNKED, SEQUENTIAL, Average, Claim
from tasks.paper.results import (
    INSERTION_RATE,
    LONG_WER,
    REPEATED_5GRAMS,
    SEQUENTIAL_LONG_WER,
)

LONG_FORM: Final = Statement(
    name="long_form_wer",
    claim="long form: no more errors",
    source=LONG_WER.table,
    paper=f"{LONG_WER.of.difference:+.1f}",
    side="at_most",
    limit=0,
    unit=" points",
)

AGAINST_SEQUENTIAL: Final = Statement(
    name="long_form_wer_to_sequential",
    claim="WER near sequential teacher's",
    source=SEQUENTIAL_LONG_WER.table,
    paper=f"{SEQUENTIAL_LONG_WER.of.difference:+.1f}",
    side="at_most",
    limit=round(SEQUENTIAL_LONG_WER.of.difference, 1),
    unit=" points",
)

FEWER_REPETITIONS: Final = Statement(
    name="repeated_5grams",
    claim="long form: fewer repeated 5-grams",
    source=REPEATED_5GRAMS.table,
    paper=f"{REPEATED_5GRAMS.of.change_percent:+.0f} %",
    side="at_most",
    limit=0,
    unit=" %",
)

FEWER_INSERTIONS: Final = Statement(
    name="insertions",
    claim="long form: fewer insertions",
    source=INSERTION_RATE.table,
    paper=f"{INSERTION_RATE.of.difference:+.1f}",
    side="at_most",
    limit=0,
    unit=" points",
)

_ALL_IN_DOMAIN: Final = "over all sets, since none is out of domain as in the paper"


def long_form_claims(found: Found) -> Iterator[Claim]:
    """The claims, in the order of the table."""
    yield _errors(found)
    yield _against_sequential(found)
    yield _repetitions(found)
    yield _insertions(found)


def why_not(found: Found, condition: str) -> str:
    """Why there is no figure for a condition of long form."""
    measured = {one.condition for one in found.report.averages} & {CHUNKED, SEQUENTIAL}
    if measured and condition not in measured:
        return f"add {condition} to evaluate.long_form.algorithms"
    return NO_LONG_FORM


def _errors(found: Found) -> Claim:
    difference = found.difference(CHUNKED, found.long_form_domain(CHUNKED))
    if difference is None:
        return LONG_FORM.not_measured(why_not(found, CHUNKED))
    return difference.tried(LONG_FORM, *_domain_remark(difference.baseline))


def _against_sequential(found: Found) -> Claim:
    """The student's chunked transcription and the teacher's sequential one: no paired interval."""
    domain = found.long_form_domain(SEQUENTIAL)
    chunked, sequential = (
        found.average(STUDENT, CHUNKED, domain),
        found.average(TEACHER, SEQUENTIAL, domain),
    )
    if sequential is None:
        return AGAINST_SEQUENTIAL.not_measured(why_not(found, SEQUENTIAL))
    if chunked is None:
        return AGAINST_SEQUENTIAL.not_measured(why_not(found, CHUNKED))
    points = (chunked.wer_percent or 0.0) - (sequential.wer_percent or 0.0)
    difference = Difference(chunked, sequential, points, None)
    return difference.tried(AGAINST_SEQUENTIAL, *_domain_remark(sequential))


def _repetitions(found: Found) -> Claim:
    pair = _chunked(found)
    if pair is None:
        return FEWER_REPETITIONS.not_measured(why_not(found, CHUNKED))
    teacher, student = pair
    values = {TEACHER: teacher.num_repeated_5grams, STUDENT: student.num_repeated_5grams}
    counts = (
        f"student {student.num_repeated_5grams:,.0f}, teacher {teacher.num_repeated_5grams:,.0f}"
    )
    if not teacher.num_repeated_5grams and not student.num_repeated_5grams:
        return FEWER_REPETITIONS.not_measured(f"neither model repeats any; {counts}")
    change, text = math.inf, "+∞ %"
    if teacher.num_repeated_5grams:
        change = 100 * (student.num_repeated_5grams / teacher.num_repeated_5grams - 1)
        text = f"{change:+.1f} %"
    return FEWER_REPETITIONS.tried(
        change, text, values=values, remarks=(counts, *_domain_remark(teacher))
    )


def _insertions(found: Found) -> Claim:
    pair = _chunked(found)
    if pair is None:
        return FEWER_INSERTIONS.not_measured(why_not(found, CHUNKED))
    teacher, student = (one.insertion_percent or 0.0 for one in pair)
    return FEWER_INSERTIONS.tried(
        student - teacher,
        f"{student - teacher:+.2f}",
        values={TEACHER: teacher, STUDENT: student, "difference": student - teacher},
        remarks=(f"student {student:.2f} %, teacher {teacher:.2f} %", *_domain_remark(pair[0])),
    )


def _chunked(found: Found) -> tuple[Average, Average] | None:
    """The averages of teacher and student over chunked long form."""
    domain = found.long_form_domain(CHUNKED)
    teacher, student = (found.average(name, CHUNKED, domain) for name in (TEACHER, STUDENT))
    return None if teacher is None or student is None else (teacher, student)


def _domain_remark(average: Average) -> tuple[str, ...]:
    return (_ALL_IN_DOMAIN,) if average.domain == "all" else ()

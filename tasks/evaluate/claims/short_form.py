"""Claims about single utterances: the size of the student, its errors, and its robustness."""

from collections.abc import Iterator
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from tasks.evaluate.claims.found import NO_OTHER_CORPUS, NO_TRAINED_CORPUS, Found
from tasks.evaluate.claims.statement import Statement
from tasks.evaluate.findings import CLEAN, Claim, Domain, ModelFacts
from tasks.paper.results import (
    IN_DOMAIN_WER,
    MILLION_PARAMETERS,
    OUT_OF_DOMAIN_WER,
    REFERENCE_WER,
)

_NOT_EVALUATED: Final = "no set has a word error rate"

_SHARE_PERCENT: Final = round(100 * MILLION_PARAMETERS.of.student / MILLION_PARAMETERS.of.teacher)

SIZE: Final = Statement(
    name="size",
    claim="half of the teacher's parameters",
    source=MILLION_PARAMETERS.table,
    paper=f"{_SHARE_PERCENT} %",
    side="at_most",
    limit=50,
    unit=" %",
)

OUT_OF_DOMAIN: Final = Statement(
    name="wer_out_of_domain",
    claim="out of domain within 1 % WER",
    source=OUT_OF_DOMAIN_WER.table,
    paper=f"{OUT_OF_DOMAIN_WER.of.difference:+.1f}",
    side="at_most",
    limit=1,
    unit=" point",
)

IN_DOMAIN: Final = Statement(
    name="wer_in_domain",
    claim="fewer errors in domain",
    source=IN_DOMAIN_WER.table,
    paper=f"{IN_DOMAIN_WER.of.difference:+.1f}",
    side="at_most",
    limit=0,
    unit=" points",
)

_EXCESS: Final = round(OUT_OF_DOMAIN_WER.of.change_percent - REFERENCE_WER.of.change_percent)

ROBUSTNESS: Final = Statement(
    name="effective_robustness",
    claim="robust to other domains",
    source=REFERENCE_WER.table,
    paper=f"{_EXCESS:+} %",
    side="at_most",
    limit=_EXCESS,
    unit=" %",
)


def short_form_claims(found: Found) -> Iterator[Claim]:
    """The claims, in the order of the table."""
    yield _size(found)
    yield _errors(found, OUT_OF_DOMAIN, "out", NO_OTHER_CORPUS)
    yield _errors(found, IN_DOMAIN, "in", NO_TRAINED_CORPUS)
    yield _robustness(found)


def layers_text(found: Found) -> str:
    """How many decoder layers the student keeps, as a remark beside the paper's."""
    student, teacher = found.model(STUDENT), found.model(TEACHER)
    if student is None or teacher is None or not student.decoder_layers:
        return "the paper's student keeps 2 of 32 decoder layers"
    return (
        f"the student keeps {student.decoder_layers} of {teacher.decoder_layers} decoder layers,"
        " the paper's 2 of 32"
    )


def _size(found: Found) -> Claim:
    student, teacher = found.model(STUDENT), found.model(TEACHER)
    if student is None or teacher is None:
        return SIZE.not_measured("the models' sizes are not in the report")
    share = 100 * student.num_parameters / teacher.num_parameters
    return SIZE.tried(
        share,
        f"{share:.1f} %",
        values={TEACHER: teacher.num_parameters, STUDENT: student.num_parameters},
        remarks=(layers_text(found), _millions(student, teacher)),
    )


def _millions(*models: ModelFacts) -> str:
    return ", ".join(f"{one.name} {one.num_parameters / 1e6:,.1f} M" for one in models)


def _errors(found: Found, statement: Statement, domain: Domain, without: str) -> Claim:
    if found.average(TEACHER, CLEAN, "all") is None:
        return statement.not_measured(_NOT_EVALUATED)
    difference = found.difference(CLEAN, domain)
    if difference is None:
        return statement.not_measured(without)
    return difference.tried(statement)


def _robustness(found: Found) -> Claim:
    """By how many per cent more the errors grow out of domain than in domain."""
    if found.average(TEACHER, CLEAN, "all") is None:
        return ROBUSTNESS.not_measured(_NOT_EVALUATED)
    row = found.robustness(STUDENT)
    inside = row.in_domain_change_percent if row else None
    outside = row.out_of_domain_change_percent if row else None
    if inside is None or outside is None:
        has_others = found.average(TEACHER, CLEAN, "out") is not None
        return ROBUSTNESS.not_measured(NO_TRAINED_CORPUS if has_others else NO_OTHER_CORPUS)
    excess = outside - inside
    return ROBUSTNESS.tried(
        excess,
        f"{excess:+.1f} %",
        values={"in_domain_change": inside, "out_of_domain_change": outside, "excess": excess},
        remarks=(f"errors change by {inside:+.1f} % in domain, {outside:+.1f} % out of it",),
    )

"""Claims about speed: of the student, and of the teacher with the student as its draft."""

from collections.abc import Iterator
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from tasks.evaluate.claims.found import NO_LONG_FORM, Found
from tasks.evaluate.claims.short_form import layers_text
from tasks.evaluate.claims.statement import Statement
from tasks.evaluate.findings import CHUNKED, SEQUENTIAL, Claim, SpeedResult
from tasks.paper.results import (
    LONG_SPEED,
    SEQUENTIAL_LONG_SPEED,
    SHORT_SPEED,
    SPECULATIVE_SPEED,
)

_SHORT_BATCH: Final = 1
_LONG_BATCH: Final = 16
_NO_SPECULATION: Final = "speculative decoding was not measured; set evaluate.speculative: true"


def _speed(name: str, claim: str, source: str, factor: float) -> Statement:
    return Statement(
        name=name,
        claim=claim,
        source=source,
        paper=f"{factor:.1f}×",
        side="at_least",
        limit=factor,
        unit="×",
    )


SHORT: Final = _speed(
    "short_form_speed",
    "faster on short form, batch 1",
    SHORT_SPEED.table,
    SHORT_SPEED.of.student,
)
LONG: Final = _speed(
    "long_form_speed",
    "faster on long form, batch 16",
    LONG_SPEED.table,
    LONG_SPEED.of.student,
)
TO_SEQUENTIAL: Final = _speed(
    "long_form_speed_to_sequential",
    "faster than sequential teacher",
    SEQUENTIAL_LONG_SPEED.table,
    SEQUENTIAL_LONG_SPEED.of.student,
)
SPECULATIVE: Final = {
    batch_size: _speed(
        f"speculative_speed_batch_{batch_size}",
        f"speculative, batch {batch_size}: speed",
        "Tables 9 and 22",
        factor,
    )
    for batch_size, factor in SPECULATIVE_SPEED.items()
}
IDENTICAL: Final = Statement(
    name="speculative_identical",
    claim="speculative: identical output",
    source="Tables 9 and 22",
    paper="100 %",
    side="at_least",
    limit=100,
    unit=" %",
)


def speed_claims(found: Found) -> Iterator[Claim]:
    """Claims about short and long form, in the order of the table."""
    short = found.speed(STUDENT, "end_to_end", _SHORT_BATCH)
    long = found.speed(STUDENT, CHUNKED, _LONG_BATCH)
    yield _student(found, SHORT, short, _add_batch(_SHORT_BATCH))
    yield _student(found, LONG, long, _no_long_speed(found))
    yield _to_sequential(found)


def speculative_claims(found: Found) -> Iterator[Claim]:
    """Claims about speculative decoding, in the order of the table."""
    yield _identical(found)
    for batch_size, statement in SPECULATIVE.items():
        yield _speculative(found, statement, batch_size)


def _student(found: Found, statement: Statement, row: SpeedResult | None, why_not: str) -> Claim:
    """The student's speed relative to the teacher in the same rounds."""
    if row is None:
        return statement.not_measured(why_not)
    return statement.tried(
        row.relative_speed,
        f"{row.relative_speed:.2f}×",
        interval=row.relative_speed_range,
        spread="rounds",
        values={"relative_speed": row.relative_speed},
        remarks=(layers_text(found),),
    )


def _to_sequential(found: Found) -> Claim:
    """The student chunked and the teacher sequential; `seconds` are of the same recordings."""
    student = found.speed(STUDENT, CHUNKED, _LONG_BATCH)
    rows = [one for one in found.report.speed if (one.model, one.part) == (TEACHER, SEQUENTIAL)]
    if student is None or not rows:
        return TO_SEQUENTIAL.not_measured(_no_long_speed(found))
    factor = (rows[0].seconds / rows[0].audio_s) / (student.seconds / student.audio_s)
    return TO_SEQUENTIAL.tried(
        factor,
        f"{factor:.2f}×",
        values={"relative_speed": factor, TEACHER: rows[0].seconds, STUDENT: student.seconds},
        remarks=(layers_text(found),),
    )


def _identical(found: Found) -> Claim:
    rows = found.report.speculative
    total = sum(one.num_utterances for one in rows)
    if not total:
        return IDENTICAL.not_measured(_NO_SPECULATION)
    same = sum(one.num_identical for one in rows)
    return IDENTICAL.tried(
        100 * same / total,
        f"{100 * same / total:.5g} %",
        values={"identical": same, "utterances": total},
        remarks=(f"{same:,} of {total:,} utterances have the same tokens",),
    )


def _speculative(found: Found, statement: Statement, batch_size: int) -> Claim:
    row = found.speculative(batch_size)
    if row is None:
        why = _add_batch(batch_size) if found.report.speculative else _NO_SPECULATION
        return statement.not_measured(why)
    return statement.tried(
        row.relative_speed,
        f"{row.relative_speed:.2f}×",
        interval=row.relative_speed_range,
        spread="rounds",
        values={"relative_speed": row.relative_speed, "acceptance": row.acceptance_percent},
        remarks=(
            f"{row.acceptance_percent:.0f} % of the drafts are accepted,"
            f" {row.tokens_per_round:.1f} tokens a round",
        ),
    )


def _add_batch(batch_size: int) -> str:
    return f"not timed at this batch size; add {batch_size} to evaluate.timing_batch_sizes"


def _no_long_speed(found: Found) -> str:
    measured = {one.condition for one in found.report.averages}
    if not measured & {CHUNKED, SEQUENTIAL}:
        return NO_LONG_FORM
    timed = {one.part for one in found.report.speed}
    missing = [one for one in (CHUNKED, SEQUENTIAL) if one not in timed]
    if len(missing) == 1:
        return f"add {missing[0]} to evaluate.long_form.algorithms"
    return "no evaluated recording is longer than a model's window"

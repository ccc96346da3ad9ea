"""The table of claims; the paper is arXiv 2311.00430."""

from tasks.evaluate.claims.found import Found
from tasks.evaluate.claims.long_form import long_form_claims
from tasks.evaluate.claims.noise import noise_claims
from tasks.evaluate.claims.short_form import short_form_claims
from tasks.evaluate.claims.speed import speculative_claims, speed_claims
from tasks.evaluate.findings import Claim
from tasks.evaluate.result import Report


def claims(report: Report) -> tuple[Claim, ...]:
    """Each claim of the paper with its verdict on the models of a report, always the same rows."""
    found = Found(report)
    return (
        *short_form_claims(found),
        *speed_claims(found),
        *long_form_claims(found),
        *noise_claims(found),
        *speculative_claims(found),
    )

"""Looks up what the claims need in the rows of a report."""

from dataclasses import dataclass
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from tasks.evaluate.claims.statement import Statement
from tasks.evaluate.findings import (
    Average,
    Claim,
    Domain,
    Interval,
    ModelFacts,
    Robustness,
    SpeculativeResult,
    SpeedResult,
    TimedPart,
)
from tasks.evaluate.result import Report

NO_LONG_FORM: Final = "no long recordings were transcribed; set evaluate.long_form"
NO_OTHER_CORPUS: Final = (
    "each evaluated corpus is in the training data; add one that is not, such as fleurs"
)
NO_TRAINED_CORPUS: Final = "no evaluated corpus is in the training data"


@dataclass(frozen=True, slots=True)
class Difference:
    """The error rate of a model in percent, and how far it is above a baseline's, in points."""

    model: Average
    baseline: Average
    points: float
    interval: Interval | None

    @property
    def values(self) -> dict[str, float]:
        """The figures behind a claim."""
        return {
            self.model.model: self.model.wer_percent or 0.0,
            self.baseline.model: self.baseline.wer_percent or 0.0,
            "difference": self.points,
        }

    @property
    def rates_text(self) -> str:
        """Both rates, as a remark."""
        rates = (f"{one.model} {one.wer_percent:.2f} %" for one in (self.model, self.baseline))
        return ", ".join(rates)

    def tried(self, statement: Statement, *remarks: str) -> Claim:
        """The verdict of a statement about the points; `remarks` follow both rates."""
        return statement.tried(
            self.points,
            f"{self.points:+.2f}",
            interval=self.interval,
            values=self.values,
            remarks=(self.rates_text, *remarks),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a report, by what they are about; None for what was not measured."""

    report: Report

    def model(self, name: str) -> ModelFacts | None:
        """The facts on a model."""
        return next((one for one in self.report.models if one.name == name), None)

    def average(self, model: str, condition: str, domain: Domain) -> Average | None:
        """A macro-average that has a rate."""
        return next(
            (
                one
                for one in self.report.averages
                if (one.model, one.condition, one.domain) == (model, condition, domain)
                and one.wer_percent is not None
            ),
            None,
        )

    def interval(
        self, model: str, baseline: str, condition: str, domain: Domain
    ) -> Interval | None:
        """That of the paired difference of a model to a baseline, whichever way it is stated."""
        for one in self.report.comparisons:
            if (one.condition, one.domain) == (condition, domain) and one.interval is not None:
                if (one.model, one.baseline) == (model, baseline):
                    return one.interval
                if (one.model, one.baseline) == (baseline, model):
                    return -one.interval[1], -one.interval[0]
        return None

    def difference(
        self, condition: str, domain: Domain, *, model: str = STUDENT, baseline: str = TEACHER
    ) -> Difference | None:
        """How many points a model's average is above a baseline's under the same condition.

        With the interval of the paired comparison, if there is one.
        """
        ours = self.average(model, condition, domain)
        theirs = self.average(baseline, condition, domain)
        if ours is None or theirs is None:
            return None
        points = (ours.wer_percent or 0.0) - (theirs.wer_percent or 0.0)
        return Difference(ours, theirs, points, self.interval(model, baseline, condition, domain))

    def long_form_domain(self, condition: str) -> Domain:
        """The paper's domain of long form, out of the training data; all sets if none is."""
        return "out" if self.average(TEACHER, condition, "out") else "all"

    def robustness(self, model: str) -> Robustness | None:
        """Rates in and out of domain."""
        return next((one for one in self.report.robustness if one.model == model), None)

    def speed(self, model: str, part: TimedPart, batch_size: int) -> SpeedResult | None:
        """The speed of a model."""
        return next(
            (
                one
                for one in self.report.speed
                if (one.model, one.part, one.batch_size) == (model, part, batch_size)
            ),
            None,
        )

    def speculative(self, batch_size: int) -> SpeculativeResult | None:
        """Speculative decoding without fallback."""
        return next(
            (
                one
                for one in self.report.speculative
                if one.batch_size == batch_size and not one.fallback
            ),
            None,
        )

    @property
    def ctc_models(self) -> list[str]:
        """The names of the models that are no Whispers."""
        return [one.name for one in self.report.models if one.engine == "ctc"]

"""The report on all models of a run: their errors, their speed, and the paper's claims."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from configs.schema import RunConfig
from storage.store import Store
from tasks.evaluate.claims.table import claims
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.findings import CLEAN, Comparison, Domain, ModelFacts, SpeedResult
from tasks.evaluate.result import Evaluation, Report, load_report
from tasks.evaluate.statistics.comparison import comparisons
from tasks.evaluate.statistics.pooled import ModelResult, summarise
from tasks.evaluate.statistics.rates import macro_average
from tasks.evaluate.statistics.results import averages, robustness, set_result
from tasks.evaluate.statistics.sample import Sample
from tasks.evaluate.statistics.stored import samples_of, tables_of
from tasks.evaluate.statistics.totals import keep_totals
from tasks.evaluate.trials import Trials, run_trials
from tasks.text.comparison import WordErrors

_DOMAINS: Final[tuple[Domain, ...]] = ("all", "in", "out")
_NAMES: Final = (TEACHER, STUDENT)


def make_report(config: RunConfig, store: Store, evaluation: Evaluation) -> Report:
    """Summarise all measurements, try speed and what else needs the models, and store the report.

    If a report on the same measurements exists it is returned instead, because timings differ from
    run to run. Raises what loading the models raises.
    """
    path = evaluation.path(config)
    if (existing := load_report(store, path)) is not None:
        return existing
    samples = list(samples_of(store, evaluation.measured))
    report = _report(store, evaluation, samples, run_trials(config, store, evaluation))
    report = report.model_copy(update={"claims": claims(report)})
    keep_totals(store, path, report)
    if store.put_if_absent(path, report.encode()):
        return report
    return Report.parse(store.read(path), path)


def _report(
    store: Store, evaluation: Evaluation, samples: Sequence[Sample], trials: Trials
) -> Report:
    trained_on = evaluation.trained_on
    found = averages(samples, trained_on)
    clean = [one for one in samples if one.condition == CLEAN and one.model in _NAMES]
    by_split = _rates(clean, [one.set for one in clean])
    student = evaluation.model(STUDENT).student
    return Report(
        teacher=_pooled(store, evaluation, TEACHER, trials),
        student=_pooled(store, evaluation, STUDENT, trials),
        relative_speed=trials.timed(STUDENT).relative_speed,
        by_corpus=_rates(clean, [one.corpus for one in clean]),
        by_split=by_split,
        mean_wer_percent={
            name: macro_average(rates[name] for rates in by_split.values()) for name in _NAMES
        },
        coverage=Coverage.total(evaluation.coverage.values()),
        coverage_by_corpus=evaluation.coverage,
        student_folder=student.output.path.rsplit("/", 1)[0] if student else "",
        models=trials.models,
        sets=tuple(map(set_result, samples)),
        averages=tuple(found),
        comparisons=tuple(_comparisons(samples, trained_on)),
        robustness=tuple(robustness(found)),
        speed=trials.speed,
        speculative=trials.speculative,
        non_speech=trials.non_speech,
    )


def _comparisons(samples: Sequence[Sample], trained_on: Sequence[str]) -> Iterator[Comparison]:
    for domain in _DOMAINS:
        of_domain = [
            one for one in samples if domain in ("all", "in" if one.corpus in trained_on else "out")
        ]
        for baseline in _NAMES:
            yield from (
                one.model_copy(update={"domain": domain})
                for one in comparisons(of_domain, baseline)
                if baseline == TEACHER or one.model != TEACHER
            )


def _rates(
    samples: Sequence[Sample], groups: Sequence[str]
) -> Mapping[str, Mapping[str, float | None]]:
    """The word error rate in percent by group and model, over all words of a group."""
    errors: dict[str, dict[str, WordErrors]] = {}
    for sample, group in zip(samples, groups, strict=True):
        of_group = errors.setdefault(group, {})
        of_group[sample.model] = of_group.get(sample.model, WordErrors()) + sample.total
    return {
        group: {model: one.wer_percent for model, one in of_group.items()}
        for group, of_group in errors.items()
    }


def _pooled(store: Store, evaluation: Evaluation, name: str, trials: Trials) -> ModelResult:
    receipts = [
        one.receipt for one in evaluation.measured if one.model == name and one.condition == CLEAN
    ]
    facts: ModelFacts = trials.facts(name)
    timed: SpeedResult = trials.timed(name)
    return summarise(
        tables_of(store, receipts),
        model=name,
        num_parameters=facts.num_parameters,
        decoder_layers=facts.decoder_layers or 0,
        seconds=timed.seconds,
    )

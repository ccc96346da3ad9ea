"""What is reported of each set, and of all sets of a domain."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from configs.evaluate import TEACHER
from tasks.evaluate.findings import CLEAN, Average, Domain, Robustness, SetResult
from tasks.evaluate.statistics.bootstrap import Estimate, estimate, interval, mean
from tasks.evaluate.statistics.rates import macro_average, percent
from tasks.evaluate.statistics.sample import Sample

_DOMAINS: Final[tuple[Domain, ...]] = ("all", "in", "out")


def set_result(sample: Sample) -> SetResult:
    """The errors of one model on one set under one condition."""
    total, num_words = sample.total, sample.total.num_reference_words
    return SetResult(
        model=sample.model,
        condition=sample.condition,
        set=sample.set,
        num_utterances=len(sample.ids),
        num_speakers=len(sample.speaker_names),
        hours=sample.duration_s / 3600,
        num_reference_words=num_words,
        substitutions=total.substitutions,
        deletions=total.deletions,
        insertions=total.insertions,
        num_reference_chars=sample.num_reference_chars,
        char_errors=sample.char_errors,
        num_repeated_5grams=sample.num_repeated_5grams,
        wer_percent=total.wer_percent,
        cer_percent=percent(sample.char_errors, sample.num_reference_chars),
        substitution_percent=percent(total.substitutions, num_words),
        deletion_percent=percent(total.deletions, num_words),
        insertion_percent=percent(total.insertions, num_words),
        wer_interval=interval(wer_estimate(sample), lowest=0) if sample.has_words else None,
    )


def wer_estimate(sample: Sample) -> Estimate:
    """The word error rate of a set, which has words, by its speakers."""
    return estimate(*sample.by_speaker, sample.set)


def averages(samples: Iterable[Sample], trained_on: Collection[str]) -> list[Average]:
    """The macro-averages of each model and condition: of all sets, and in and out of domain.

    A set is in domain if its corpus is one of `trained_on`, those that the student was trained on.
    Sets without reference words do not count; a domain without other sets has no row. Intervals
    take speakers of one set to be independent of those of another.
    """
    found: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        if sample.has_words:
            found.setdefault((sample.model, sample.condition), []).append(sample)
    return [row for of_model in found.values() for row in _averages(of_model, trained_on)]


def _averages(samples: Sequence[Sample], trained_on: Collection[str]) -> Iterator[Average]:
    estimates = [wer_estimate(one) for one in samples]
    for domain in _DOMAINS:
        rows = [
            (sample, found)
            for sample, found in zip(samples, estimates, strict=True)
            if domain in ("all", "in" if sample.corpus in trained_on else "out")
        ]
        if rows:
            yield _average(domain, *zip(*rows, strict=True))


def _average(
    domain: Domain, samples: tuple[Sample, ...], estimates: tuple[Estimate, ...]
) -> Average:
    average = mean(estimates)

    def rate(kind: str) -> float | None:
        totals = [one.total for one in samples]
        return macro_average(percent(getattr(one, kind), one.num_reference_words) for one in totals)

    return Average(
        model=samples[0].model,
        condition=samples[0].condition,
        domain=domain,
        num_sets=len(samples),
        wer_percent=macro_average(one.total.wer_percent for one in samples),
        wer_interval=interval(average, lowest=0),
        cer_percent=macro_average(
            percent(one.char_errors, one.num_reference_chars) for one in samples
        ),
        substitution_percent=rate("substitutions"),
        deletion_percent=rate("deletions"),
        insertion_percent=rate("insertions"),
        num_repeated_5grams=sum(one.num_repeated_5grams for one in samples) / len(samples),
    )


def robustness(found: Iterable[Average], teacher: str = TEACHER) -> list[Robustness]:
    """Each model in and out of domain on clean utterances, beside the teacher (Table 6)."""
    rates = {(one.model, one.domain): one.wer_percent for one in found if one.condition == CLEAN}
    return [
        Robustness(
            model=model,
            in_domain_percent=rates.get((model, "in")),
            out_of_domain_percent=rates.get((model, "out")),
            in_domain_change_percent=_change(rates.get((model, "in")), rates.get((teacher, "in"))),
            out_of_domain_change_percent=_change(
                rates.get((model, "out")), rates.get((teacher, "out"))
            ),
        )
        for model in dict.fromkeys(model for model, _ in rates)
    ]


def _change(rate: float | None, of_teacher: float | None) -> float | None:
    return 100 * (rate / of_teacher - 1) if rate is not None and of_teacher else None

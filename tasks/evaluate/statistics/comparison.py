"""Two models, or two runs, on the same utterances."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from configs.evaluate import TEACHER
from storage.errors import UserError
from storage.record import Record
from tasks.evaluate.findings import Comparison, Interval
from tasks.evaluate.statistics.bootstrap import Estimate, estimate, interval, mean
from tasks.evaluate.statistics.rates import macro_average, percent
from tasks.evaluate.statistics.sample import Sample, sums
from tasks.evaluate.statistics.sign_test import p_value

BySet = Mapping[str, Sample]


class RunDifference(Record):
    """One model of two runs, A and B, on one set under one condition.

    `set` is None for the macro-average over the sets that both runs have. Rates and the difference,
    B minus A in points, are those of the utterances that both have, and None where these have no
    words.
    """

    model: str
    condition: str
    set: str | None
    num_utterances: int
    num_only_in_a: int
    num_only_in_b: int
    wer_percent_a: float | None
    wer_percent_b: float | None
    difference: float | None
    interval: Interval | None
    p_value: float | None


@dataclass(frozen=True, eq=False, slots=True)
class _Pair:
    """One set in two samples: the rows of each with the utterances that both have."""

    a: Sample
    b: Sample
    rows_a: npt.NDArray[np.intp]
    rows_b: npt.NDArray[np.intp]

    @classmethod
    def of(cls, a: Sample, b: Sample) -> "_Pair":
        _, rows_a, rows_b = np.intersect1d(a.ids, b.ids, assume_unique=True, return_indices=True)
        return cls(a, b, rows_a, rows_b)

    @property
    def num_words(self) -> int:
        return int(self.a.words[self.rows_a].sum())

    @property
    def rates(self) -> tuple[float | None, float | None]:
        """The word error rates in percent of A and of B."""
        num_words = self.num_words
        return (
            percent(int(self.a.errors[self.rows_a].sum()), num_words),
            percent(int(self.b.errors[self.rows_b].sum()), num_words),
        )

    @property
    def num_other_references(self) -> int:
        return int(np.sum(self.a.words[self.rows_a] != self.b.words[self.rows_b]))

    @property
    def difference(self) -> Estimate:
        """That of B to A, by speaker; the pair has words."""
        _, speakers = np.unique(self.a.speakers[self.rows_a], return_inverse=True)
        more = self.b.errors[self.rows_b] - self.a.errors[self.rows_a]
        words = sums(speakers, self.a.words[self.rows_a])
        return estimate(sums(speakers, more), words, self.a.set)


def comparisons(samples: Iterable[Sample], baseline: str = TEACHER) -> list[Comparison]:
    """Each model and condition beside the baseline; raises `ValueError` as `comparison`.

    Conditions without reference words have no row, and those without the baseline neither.
    """
    found: dict[str, dict[str, list[Sample]]] = {}
    for one in samples:
        found.setdefault(one.condition, {}).setdefault(one.model, []).append(one)
    rows = [
        comparison(of_model, models[baseline])
        for models in found.values()
        for model, of_model in models.items()
        if model != baseline and baseline in models
    ]
    return [one for one in rows if one is not None]


def comparison(model: Sequence[Sample], baseline: Sequence[Sample]) -> Comparison | None:
    """The difference of a model to a baseline under one condition, macro-averaged over sets.

    Interval and test are paired, with speakers as their units. None if no set has words. Raises
    `ValueError` if the utterances or their references are not the same.
    """
    ours, theirs = _by_set(model), _by_set(baseline)
    if ours.keys() != theirs.keys():
        name = min(ours.keys() ^ theirs.keys())
        raise ValueError(f"only one of {_name(model)} and {_name(baseline)} has the set {name}")
    pairs = [_Pair.of(theirs[name], ours[name]) for name in ours]
    for one in pairs:
        num_common, *nums = (len(found) for found in (one.rows_a, one.a.ids, one.b.ids))
        if num_common != max(nums) or one.num_other_references:
            raise ValueError(
                f"{one.b.model} and {one.a.model} have {num_common} of {nums[1]} and {nums[0]}"
                f" utterances of {one.a.set} in common, and {one.num_other_references} of those"
                " have other references; expected the same"
            )
    pairs = [one for one in pairs if one.num_words]
    if not pairs:
        return None
    difference = mean([one.difference for one in pairs])
    return Comparison(
        model=model[0].model,
        baseline=baseline[0].model,
        condition=model[0].condition,
        num_sets=len(pairs),
        num_utterances=sum(len(one.rows_a) for one in pairs),
        difference=difference.value,
        interval=interval(difference),
        p_value=p_value(difference.shares),
    )


def compare_samples(a: Sequence[Sample], b: Sequence[Sample]) -> list[RunDifference]:
    """Two runs, by model, condition and set, and each model and condition on average.

    Samples are matched by the names of their model, condition and set; one that only one run has
    is a row without rates. Raises `UserError` if references have other numbers of words in B.
    """
    found_a, found_b = _by_kind(a), _by_kind(b)
    return [
        row
        for kind in dict.fromkeys([*found_a, *found_b])
        for row in _differences(*kind, found_a.get(kind, {}), found_b.get(kind, {}))
    ]


def _differences(model: str, condition: str, a: BySet, b: BySet) -> Iterator[RunDifference]:
    pairs: list[_Pair] = []
    for name in dict.fromkeys([*a, *b]):
        nothing = Sample.of([], model=model, condition=condition, set=name)
        pair = _Pair.of(a.get(name, nothing), b.get(name, nothing))
        if pair.num_other_references:
            raise UserError(
                f"{pair.num_other_references} of {len(pair.rows_a)} utterances of {name} have"
                " references of other lengths in the second run, expected the same; evaluate both"
                " with the same score.normaliser: `distillery evaluate CONFIG`"
            )
        pairs.append(pair)
        yield _run_difference(model, condition, name, [pair])
    yield _run_difference(model, condition, None, pairs)


def _run_difference(
    model: str, condition: str, name: str | None, pairs: Sequence[_Pair]
) -> RunDifference:
    differences = [one.difference for one in pairs if one.num_words]
    found = mean(differences) if differences else None
    return RunDifference(
        model=model,
        condition=condition,
        set=name,
        num_utterances=sum(len(one.rows_a) for one in pairs),
        num_only_in_a=sum(len(one.a.ids) - len(one.rows_a) for one in pairs),
        num_only_in_b=sum(len(one.b.ids) - len(one.rows_b) for one in pairs),
        wer_percent_a=macro_average(one.rates[0] for one in pairs),
        wer_percent_b=macro_average(one.rates[1] for one in pairs),
        difference=found.value if found else None,
        interval=interval(found) if found else None,
        p_value=p_value(found.shares) if found else None,
    )


def _by_set(samples: Iterable[Sample]) -> dict[str, Sample]:
    return {one.set: one for one in samples}


def _by_kind(samples: Iterable[Sample]) -> dict[tuple[str, str], dict[str, Sample]]:
    found: dict[tuple[str, str], dict[str, Sample]] = {}
    for one in samples:
        found.setdefault((one.model, one.condition), {})[one.set] = one
    return found


def _name(samples: Sequence[Sample]) -> str:
    return samples[0].model if samples else "a model without results"

"""Claims about speech with noise, for which the paper has only Figure 2 and no table."""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from tasks.evaluate.claims.found import Difference, Found
from tasks.evaluate.claims.statement import NO_FIGURE, Statement
from tasks.evaluate.findings import Claim, Interval
from tasks.evaluate.noise.curves import condition_of, noise_curves

FOLLOWS: Final = Statement(
    name="noise_like_teacher",
    claim="follows the teacher in noise",
    source="Figure 2",
    paper=NO_FIGURE,
    side="at_most",
    limit=1,
    unit=" point",
)

BEATS_CTC: Final = Statement(
    name="noise_against_ctc",
    claim="beats wav2vec 2.0 in noise",
    source="Figure 2",
    paper=NO_FIGURE,
    side="at_most",
    limit=0,
    unit=" points",
)

_NO_NOISE: Final = "no speech with noise was transcribed; set evaluate.noise"
_ONE_RATIO: Final = "two signal-to-noise ratios are needed; add some to evaluate.noise.snr_db"
_NO_CTC: Final = (
    "no such model is measured; add one of LibriSpeech alone, such as"
    " facebook/wav2vec2-large-960h, to evaluate.models with engine: ctc"
)


def noise_claims(found: Found) -> Iterator[Claim]:
    """The claims, in the order of the table."""
    yield _follows(found)
    yield _beats_ctc(found)


def _follows(found: Found) -> Claim:
    """How much the distance to the teacher grows from the higher to the lower half of the ratios.

    The mean over kinds of noise. The ends of its interval are those of the paired differences at
    their worst, so that it is rather too wide than too narrow.
    """
    halves = _halves(found)
    if not halves:
        return FOLLOWS.not_measured(_why_not(found))
    growths, lows, highs = [], [], []
    for high, low in halves:
        before, after = (_differences(found, half, STUDENT, TEACHER) for half in (high, low))
        if not before or not after:
            return FOLLOWS.not_measured(_why_not(found))
        growths.append(_mean(after) - _mean(before))
        if (start := _interval(before)) and (end := _interval(after)):
            lows.append(end[0] - start[1])
            highs.append(end[1] - start[0])
    growth = fmean(growths)
    return FOLLOWS.tried(
        growth,
        f"{growth:+.2f}",
        interval=(fmean(lows), fmean(highs)) if len(lows) == len(growths) else None,
        values={"growth": growth},
        remarks=("by so much the distance grows from the higher half of the ratios to the lower",),
    )


def _beats_ctc(found: Found) -> Claim:
    """The distance to the best CTC model over the lower half of the ratios, the kinds' mean."""
    halves = _halves(found)
    if not found.ctc_models:
        return BEATS_CTC.not_measured(_NO_CTC)
    if not halves:
        return BEATS_CTC.not_measured(_why_not(found))
    tried = {
        name: [one for _, low in halves for one in _differences(found, low, STUDENT, name)]
        for name in found.ctc_models
    }
    measured = {name: differences for name, differences in tried.items() if differences}
    if not measured:
        return BEATS_CTC.not_measured(_NO_CTC)
    closest = max(measured, key=lambda name: _mean(measured[name]))
    points = _mean(measured[closest])
    return BEATS_CTC.tried(
        points,
        f"{points:+.2f}",
        interval=_interval(measured[closest]),
        values={f"difference to {name}": _mean(one) for name, one in measured.items()},
        remarks=(f"to {closest}, over the lower half of the ratios",),
    )


def _halves(found: Found) -> list[tuple[list[str], list[str]]]:
    """The conditions with a higher and with a lower ratio, for each kind of noise with several."""
    halves = []
    for kind, curves in noise_curves(found.report.averages).items():
        names = [condition_of(kind, snr_db) for snr_db in curves.get(TEACHER, {})]
        if size := len(names) // 2:
            halves.append((names[:size], names[-size:]))
    return halves


def _why_not(found: Found) -> str:
    return _ONE_RATIO if noise_curves(found.report.averages) else _NO_NOISE


def _differences(
    found: Found, conditions: Sequence[str], model: str, baseline: str
) -> list[Difference]:
    differences = (
        found.difference(condition, "all", model=model, baseline=baseline)
        for condition in conditions
    )
    return [one for one in differences if one is not None]


def _mean(differences: Sequence[Difference]) -> float:
    return fmean(one.points for one in differences)


def _interval(differences: Sequence[Difference]) -> Interval | None:
    """The means of both ends: the interval if the differences vary together, too wide otherwise."""
    intervals = [one.interval for one in differences if one.interval is not None]
    if len(intervals) < len(differences):
        return None
    return fmean(low for low, _ in intervals), fmean(high for _, high in intervals)

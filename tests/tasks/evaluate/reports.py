"""Reports on evaluations as they could be found, with figures that are easy to follow."""

from collections.abc import Mapping
from typing import Any, Final

from tasks.evaluate.coverage import Coverage
from tasks.evaluate.findings import (
    CHUNKED,
    CLEAN,
    SEQUENTIAL,
    Average,
    Comparison,
    Domain,
    Interval,
    ModelFacts,
    NonSpeech,
    Robustness,
    SetResult,
    SpeculativeResult,
    SpeedResult,
)
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.pooled import ModelResult

SNR_DB: Final = (40, 20, 0, -10)
CTC: Final = "wav2vec2"


def facts(name: str, **changes: Any) -> ModelFacts:
    values: dict[str, Any] = {
        "engine": "whisper",
        "identity": f"sha256:{name}",
        "num_parameters": 1_550_000_000,
        "encoder_layers": 32,
        "decoder_layers": 32,
        "num_mb": 3_100.0,
    }
    return ModelFacts.model_validate({"name": name, **values, **changes})


def set_result(model: str, name: str, wer: float | None, **changes: Any) -> SetResult:
    values: dict[str, Any] = {
        "condition": CLEAN,
        "num_utterances": 1_234,
        "num_speakers": 20,
        "hours": 2.5,
        "num_reference_words": 10_000,
        "substitutions": 600,
        "deletions": 200,
        "insertions": 200,
        "num_reference_chars": 50_000,
        "char_errors": 2_000,
        "num_repeated_5grams": 7,
        "wer_percent": wer,
        "cer_percent": None if wer is None else wer / 2,
        "substitution_percent": wer,
        "deletion_percent": wer,
        "insertion_percent": wer,
        "wer_interval": None if wer is None else (wer - 1, wer + 1),
    }
    return SetResult.model_validate({"model": model, "set": name, **values, **changes})


def average(
    model: str, wer: float, condition: str = CLEAN, domain: Domain = "all", **changes: Any
) -> Average:
    values: dict[str, Any] = {
        "num_sets": 2,
        "wer_interval": (wer - 1, wer + 1),
        "cer_percent": wer / 2,
        "substitution_percent": wer / 2,
        "deletion_percent": wer / 4,
        "insertion_percent": wer / 4,
        "num_repeated_5grams": round(1_000 * wer),
    }
    row = {"model": model, "condition": condition, "domain": domain, "wer_percent": wer}
    return Average.model_validate({**row, **values, **changes})


def comparison(
    points: float,
    interval: Interval | None,
    condition: str = CLEAN,
    domain: Domain = "all",
    *,
    model: str = "student",
    baseline: str = "teacher",
) -> Comparison:
    return Comparison(
        model=model,
        baseline=baseline,
        condition=condition,
        domain=domain,
        num_sets=2,
        num_utterances=100,
        difference=points,
        interval=interval,
        p_value=0.012,
    )


def speed(model: str, factor: float, part: str = "end_to_end", batch_size: int = 1) -> SpeedResult:
    return SpeedResult.model_validate(
        {
            "model": model,
            "part": part,
            "batch_size": batch_size,
            "num_utterances": 256,
            "audio_s": 1_000.0,
            "seconds": 100 / factor,
            "fastest_s": 90 / factor,
            "slowest_s": 110 / factor,
            "relative_speed": factor,
            "relative_speed_range": (factor - 0.1, factor + 0.1),
            "peak_mb": None,
        }
    )


def speculative(batch_size: int, factor: float, **changes: Any) -> SpeculativeResult:
    values: dict[str, Any] = {
        "fallback": False,
        "num_utterances": 1_000,
        "num_identical": 1_000,
        "acceptance_percent": 80.0,
        "tokens_per_round": 3.5,
        "drafted_per_round": 4.0,
        "relative_speed": factor,
        "relative_speed_range": (factor - 0.1, factor + 0.1),
    }
    return SpeculativeResult.model_validate({"batch_size": batch_size, **values, **changes})


def report(**rows: Any) -> Report:
    """A report in which nothing is measured, but for `rows`."""
    summary = {
        name: ModelResult(
            model=name, num_parameters=1, decoder_layers=1, num_utterances=3, hours=1.0,
            num_reference_words=10, wer_percent=10.0, substitution_percent=5.0,
            deletion_percent=3.0, insertion_percent=2.0, num_repeated_5grams=0,
        )
        for name in ("teacher", "student")
    }  # fmt: skip
    coverage = Coverage(num_annotated=6, num_utterances=3, excluded={"no_text": 3})
    others: dict[str, Any] = {
        "relative_speed": 5.8,
        "by_corpus": {},
        "coverage": coverage,
        "coverage_by_corpus": {"talks": coverage},
        "student_folder": "distil/c0a26359e10083cc/student-a082c8a8",
    }
    return Report(**{**summary, **others, **rows})


def paper_report(**changes: Any) -> Report:
    """The paper's figures as if they had been measured here, with a CTC model beside."""
    rows: dict[str, Any] = {
        "models": (
            facts("teacher"),
            facts("student", num_parameters=756_000_000, decoder_layers=2, shares_encoder=True),
            facts(CTC, engine="ctc", encoder_layers=24, decoder_layers=None),
        ),
        "sets": tuple(
            set_result(model, name, wer, condition=condition)
            for condition, name in (
                (CLEAN, "gigaspeech/test"),
                (CLEAN, "fleurs/test"),
                (CHUNKED, "earnings22/test"),
                (SEQUENTIAL, "earnings22/test"),
            )
            for model, wer in (("teacher", 10.0), ("student", 11.0), (CTC, 30.0))
            if not (model == CTC and condition == SEQUENTIAL)
        ),
        "averages": (*_averages(CLEAN, _SHORT), *_averages(CHUNKED, _LONG), *_noise(), *_alone()),
        "comparisons": (
            comparison(1.0, (0.5, 1.5), domain="out"),
            comparison(-1.1, (-1.5, -0.7), domain="in"),
            comparison(-0.1, (-0.4, 0.2), CHUNKED, "out"),
        ),
        "robustness": (
            Robustness(
                model="student",
                in_domain_percent=10.5,
                out_of_domain_percent=10.1,
                in_domain_change_percent=-1.9,
                out_of_domain_change_percent=11.0,
            ),
        ),
        "speed": (
            speed("teacher", 1.0),
            speed("student", 5.8),
            speed("student", 5.8, CHUNKED, 16),
            speed("teacher", 1.0, CHUNKED, 16),
            speed("teacher", 0.1, SEQUENTIAL, 16),
        ),
        "speculative": tuple(map(speculative, (1, 4, 16), (2.0, 1.3, 0.8))),
        "non_speech": tuple(
            NonSpeech(
                model=model, kind=kind, num_windows=32, num_windows_with_words=3, num_words=12,
                hours=0.25,
            )
            for model in ("teacher", "student", CTC)
            for kind in ("silence", "white")
        ),
    }  # fmt: skip
    return report(**{**rows, **changes})


_SHORT: Final[Mapping[str, Mapping[Domain, float]]] = {
    "teacher": {"in": 13.9, "out": 9.1, "all": 12.6},
    "student": {"in": 12.8, "out": 10.1, "all": 12.1},
}
_LONG: Final[Mapping[str, Mapping[Domain, float]]] = {
    "teacher": {"out": 11.7, "all": 10.0},
    "student": {"out": 11.6, "all": 9.9},
}


def _averages(condition: str, rates: Mapping[str, Mapping[Domain, float]]) -> list[Average]:
    return [
        average(model, wer, condition, domain)
        for model, by_domain in rates.items()
        for domain, wer in by_domain.items()
    ]


def _alone() -> list[Average]:
    """The teacher's sequential long form."""
    rates: Mapping[Domain, float] = {"out": 10.4, "all": 9.0}
    return [average("teacher", wer, SEQUENTIAL, domain) for domain, wer in rates.items()]


def _noise() -> list[Average]:
    """The student half a point above the teacher's curve, the CTC model far above in noise."""
    curves = {
        "teacher": (3.0, 4.0, 20.0, 70.0),
        "student": (3.5, 4.5, 20.5, 70.5),
        CTC: (3.0, 8.0, 60.0, 99.0),
    }
    return [
        average(model, wer, f"{kind}_{snr_db}db")
        for kind in ("white", "babble")
        for model, curve in curves.items()
        for snr_db, wer in zip(SNR_DB, curve, strict=True)
    ]

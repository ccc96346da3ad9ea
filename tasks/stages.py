"""The stages in their order, what each promises, and what decides its result."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from configs.schema import RunConfig
from storage.fingerprint import Hashable, fingerprint
from storage.schema import EVIDENCE, KEPT, LABELS, MEASURED, NORMALISED, PLAN
from storage.stage import StageSpec
from tasks.corpora.base import Corpus
from tasks.label.identity import teacher_identity
from tasks.text import NORMALISER_VERSION

Stage = Literal[
    "download",
    "plan",
    "normalise",
    "label",
    "score",
    "filter",
    "publish",
    "distil",
    "evaluate",
]

STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

SPECS: Final = {
    spec.name: spec
    for spec in (
        StageSpec(name="plan", version=2, schema=PLAN, row_group_bytes=None),
        StageSpec(name="normalise", version=1, schema=NORMALISED),
        StageSpec(name="label", version=2, schema=LABELS),
        StageSpec(name="score", version=1, schema=EVIDENCE),
        StageSpec(name="filter", version=2, schema=KEPT),
        StageSpec(name="evaluate", version=1, schema=MEASURED),
    )
}

STUDENT_VERSION: Final = 1
"""Raised when the same manifest and settings begin to give another student."""

SHARD_STAGES: Final[tuple[Stage, ...]] = ("normalise", "label", "score", "filter")
"""Those that turn one planned shard into the next form of the same shard."""


def fingerprints(config: RunConfig, corpus: Corpus) -> Mapping[str, str]:
    """Stage to fingerprint, for one corpus, from the plan to the filter.

    Each covers its own parameters and the fingerprint before it; no setting of the machine, and
    nothing of the other corpora.
    """
    found: dict[str, str] = {}
    upstream: list[str] = []
    for stage, values in parameters(config, corpus).items():
        found[stage] = fingerprint(
            stage=stage,
            version=SPECS[stage].version,
            corpus=corpus.name,
            parameters=values,
            upstream=upstream,
        )
        upstream = [found[stage]]
    return found


def student_fingerprint(
    config: RunConfig, manifest_digest: str, validation_digests: Sequence[str]
) -> str:
    """What decides a student: manifest, teacher, training, and the speech that chooses weights."""
    return fingerprint(
        stage="distil",
        version=STUDENT_VERSION,
        corpus=config.publish.name,
        parameters={
            **config.distil.model_dump(mode="json"),
            "teacher": teacher_identity(config.label.teacher),
        },
        upstream=[manifest_digest, *validation_digests],
    )


def evaluation_fingerprint(config: RunConfig, corpus: Corpus, model_identity: str) -> str:
    """What decides what a model is heard to say in a corpus's evaluation splits."""
    decoding = config.label.model_dump(
        mode="json", include={"dtype", "language", "task", "max_new_tokens"}
    )
    return fingerprint(
        stage="evaluate",
        version=SPECS["evaluate"].version,
        corpus=corpus.name,
        parameters={
            **decoding,
            **_score_parameters(config, corpus),
            "model": model_identity,
        },
        upstream=[fingerprints(config, corpus)["normalise"]],
    )


def _score_parameters(config: RunConfig, corpus: Corpus) -> dict[str, Hashable]:
    return {
        **config.score.model_dump(mode="json"),
        "clean_version": corpus.clean_version,
        "normaliser_version": NORMALISER_VERSION,
    }


def parameters(config: RunConfig, corpus: Corpus) -> Mapping[str, Hashable]:
    """Stage to what decides its result for one corpus, beside what comes from the stage before."""
    label: dict[str, Any] = config.label.model_dump(mode="json", exclude={"teacher"})
    return {
        "plan": {
            "revision": corpus.revision,
            "read_version": corpus.read_version,
            "target_shard_hours": config.plan.target_shard_hours,
        },
        "normalise": config.normalise.model_dump(mode="json"),
        "label": {**label, "teacher": teacher_identity(config.label.teacher)},
        "score": _score_parameters(config, corpus),
        "filter": config.filter.model_dump(mode="json"),
    }

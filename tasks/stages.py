"""The stages in their order, what each promises, and what decides its result."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

from configs.schema import Filter, RunConfig
from storage.fingerprint import Hashable, digest, fingerprint
from storage.stage import StageSpec
from tasks.corpora.base import Corpus, Role
from tasks.evaluate.schema import MEASURED
from tasks.filter.schema import KEPT
from tasks.index.schema import IDENTITIES
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.plan.schema import PLAN
from tasks.score.schema import EVIDENCE
from tasks.text.comparison import NORMALISER_VERSION, comparison_of
from tasks.whisper.identity import teacher_identity

Stage = Literal[
    "download",
    "plan",
    "normalise",
    "label",
    "score",
    "index",
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
        StageSpec(name="normalise", version=2, schema=NORMALISED),
        StageSpec(name="label", version=2, schema=LABELS),
        StageSpec(name="score", version=3, schema=EVIDENCE),
        StageSpec(name="index", version=1, schema=IDENTITIES),
        StageSpec(name="filter", version=3, schema=KEPT),
        StageSpec(name="evaluate", version=1, schema=MEASURED),
    )
}

STUDENT_VERSION: Final = 1
"""Raised when the same manifest and settings begin to give another student."""

SHARD_STAGES: Final[tuple[Stage, ...]] = ("normalise", "label", "score", "index", "filter")
"""Those that turn one planned shard into another form of the same shard."""


def shard_stages(config: RunConfig, corpus: str, role: Role) -> tuple[Stage, ...]:
    """The stages that shards of a corpus go through.

    Speech to measure on is indexed where some corpus must not repeat it (`filter.contamination`),
    speech to learn from where it is to be told by its sound.
    """
    if role != "train":
        return ("normalise", "index") if is_indexed(config) else ("normalise",)
    contamination = config.filter_of(corpus).contamination
    if contamination is not None and contamination.audio:
        return SHARD_STAGES
    return tuple(stage for stage in SHARD_STAGES if stage != "index")


def is_indexed(config: RunConfig) -> bool:
    """Whether some corpus of a run must not repeat what is measured on."""
    filters = [config.filter_of(name) for name in config.corpora]
    return any(one.contamination is not None for one in filters)


def fingerprints(
    config: RunConfig, corpus: Corpus, index_digest: str | None = None
) -> Mapping[str, str]:
    """Stage to fingerprint, for one corpus, from the plan to the filter.

    Each covers its own parameters and the fingerprint before it; no setting of the machine, and
    nothing of the other corpora but, by `index_digest`, the speech that must not be learnt from.
    """
    found: dict[str, str] = {}
    upstream: list[str] = []
    for stage, values in parameters(config, corpus, index_digest).items():
        found[stage] = fingerprint(
            stage=stage,
            version=SPECS[stage].version,
            corpus=corpus.name,
            parameters=values,
            upstream=upstream,
        )
        upstream = [found[stage]]
    found["index"] = fingerprint(
        stage="index",
        version=SPECS["index"].version,
        corpus=corpus.name,
        parameters=_score_parameters(config, corpus),
        upstream=[found["normalise"]],
    )
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
        "normaliser": comparison_of(config.score, config.label).normaliser,
        "clean_version": corpus.clean_version,
        "normaliser_version": NORMALISER_VERSION,
    }


def parameters(
    config: RunConfig, corpus: Corpus, index_digest: str | None = None
) -> Mapping[str, Hashable]:
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
        "filter": _filter_parameters(config.filter_of(corpus.name), corpus, index_digest),
    }


def _filter_parameters(
    settings: Filter, corpus: Corpus, index_digest: str | None
) -> dict[str, Any]:
    """Whose speech is taken down goes in by a digest: a manifest tells these for everyone to read.

    Rights go in with what the licence says of them, so that a licence that changes is asked again.
    """
    found = settings.model_dump(mode="json")
    found["rights"] = {right: getattr(corpus.licence, right) for right in settings.rights}
    num_listed = len(settings.takedown.ids) + len(settings.takedown.speakers)
    found["takedown"] = f"{num_listed} listed, {digest(found['takedown'])}" if num_listed else None
    if settings.contamination is not None:
        found["contamination"]["index"] = index_digest
    return found

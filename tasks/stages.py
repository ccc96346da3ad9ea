"""The list of stages, and the fingerprints that follow from it.

Adding a stage takes a folder with a `stage.py` and a line here.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from configs.schema import RunConfig
from storage.errors import UserError
from storage.fingerprint import Hashable, fingerprint
from tasks.corpora.base import Corpus, Role
from tasks.distil.stage import DISTIL, distil_parameters
from tasks.download.stage import DOWNLOAD
from tasks.evaluate.conditions import AS_IT_IS, Condition
from tasks.evaluate.identity import condition_parameters
from tasks.evaluate.models import MeasuredModel
from tasks.evaluate.stage import EVALUATE
from tasks.filter.stage import FILTER
from tasks.index.stage import INDEX
from tasks.label.stage import LABEL
from tasks.normalise.stage import NORMALISE
from tasks.plan.stage import PLAN
from tasks.publish.stage import PUBLISH
from tasks.score.stage import SCORE
from tasks.stage import Scope, Stage, StageContext

STAGES: Final[tuple[Stage, ...]] = (
    DOWNLOAD,
    PLAN,
    NORMALISE,
    LABEL,
    SCORE,
    INDEX,
    FILTER,
    PUBLISH,
    DISTIL,
    EVALUATE,
)

STAGE_NAMES: Final = tuple(stage.name for stage in STAGES)

SHARD_STAGES: Final = tuple(stage.name for stage in STAGES if stage.scope is Scope.SHARD)
"""Those that turn one planned shard into another form of the same shard, in order."""

CORPUS_STAGES: Final = tuple(stage.name for stage in STAGES if stage.scope is not Scope.RUN)
"""Those that each corpus goes through by itself, in order."""

_BY_NAME: Final = {stage.name: stage for stage in STAGES}


def stage_named(name: str) -> Stage:
    """The stage of a name; raises `UserError` with the names that exist."""
    if name not in _BY_NAME:
        raise UserError(f"no stage {name!r}; the stages are {', '.join(STAGE_NAMES)}")
    return _BY_NAME[name]


def shard_stages(config: RunConfig, corpus: str, role: Role) -> tuple[str, ...]:
    """The stages that the shards of a corpus and role go through, in order."""
    return tuple(name for name in SHARD_STAGES if _BY_NAME[name].applies(config, corpus, role))


def fingerprints(
    config: RunConfig, corpus: Corpus, evaluation_index: str | None = None
) -> Mapping[str, str]:
    """Stage to fingerprint, for one corpus, from `plan` to the last stage of a shard.

    Each covers the parameters that differ from the pinned defaults, and the fingerprints of its
    inputs. Settings of the machine are never part of it, nor is anything of another corpus except,
    by `evaluation_index`, the evaluation speech that must not be learnt from.
    """
    context = StageContext(config=config, corpus=corpus, evaluation_index=evaluation_index)
    found: dict[str, str] = {}
    for stage in STAGES:
        if stage.schema is None or stage.scope is Scope.RUN:
            continue
        found[stage.name] = fingerprint(
            stage=stage.name,
            version=stage.version,
            corpus=corpus.name,
            parameters=stage.identity(stage.parameters(context)),
            upstream=[
                found[name]
                for name in stage.inputs
                if name in found and _BY_NAME[name].applies(config, corpus.name, "train")
            ],
        )
    return found


def parameters(
    config: RunConfig, corpus: Corpus, evaluation_index: str | None = None
) -> Mapping[str, Mapping[str, Hashable]]:
    """Stage to its version and all values that decide its result for one corpus."""
    context = StageContext(config=config, corpus=corpus, evaluation_index=evaluation_index)
    return {
        name: {
            "version": _BY_NAME[name].version,
            **{one.name: one.value for one in _BY_NAME[name].parameters(context)},
        }
        for name in ("plan", *shard_stages(config, corpus.name, "train"))
    }


def student_fingerprint(
    config: RunConfig, manifest_digest: str, validation_digests: Sequence[str]
) -> str:
    """What decides a student: manifest, teacher, training, and the speech that selects weights."""
    return fingerprint(
        stage=DISTIL.name,
        version=DISTIL.version,
        corpus=config.publish.name,
        parameters=DISTIL.identity(distil_parameters(config)),
        upstream=[manifest_digest, *validation_digests],
    )


def evaluation_fingerprint(
    config: RunConfig, corpus: Corpus, model: MeasuredModel, condition: Condition = AS_IT_IS
) -> str:
    """What decides the transcripts of a model on a corpus's evaluation splits."""
    context = StageContext(config=config, corpus=corpus)
    return fingerprint(
        stage=EVALUATE.name,
        version=EVALUATE.version,
        corpus=corpus.name,
        parameters={
            **EVALUATE.identity(EVALUATE.parameters(context)),
            **condition_parameters(config, condition),
            "model": model.identity,
        },
        upstream=[fingerprints(config, corpus)["normalise"]],
    )

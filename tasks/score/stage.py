"""The stage `score`: each label compared with its reference."""

from collections.abc import Iterator
from typing import Final

from storage.schema import row_ids
from tasks.job import Inputs, Output
from tasks.score.schema import EVIDENCE
from tasks.score.shard import REFERENCE_COLUMNS, score_shard
from tasks.score.vocabulary import vocabulary
from tasks.stage import Parameter, Resource, Scope, Stage, StageContext, is_trained_on
from tasks.text.comparison import NORMALISER_VERSION, comparison_of


def _make(inputs: Inputs) -> Output:
    config = inputs.config
    labels = inputs.table("label")
    references = inputs.table("normalise", REFERENCE_COLUMNS)
    outcomes = score_shard(
        labels,
        references,
        inputs.corpus.clean,
        comparison_of(config.score, config.label),
        lambda: vocabulary(config.label.teacher),
    )
    return Output(row_ids(labels), outcomes)


def text_parameters(context: StageContext) -> Iterator[Parameter]:
    """What decides how texts are normalised before they are compared."""
    config = context.config
    yield Parameter("normaliser", comparison_of(config.score, config.label).normaliser)
    yield Parameter("clean_version", context.corpus.clean_version)
    yield Parameter("normaliser_version", NORMALISER_VERSION)


SCORE: Final = Stage(
    name="score",
    version=3,
    scope=Scope.SHARD,
    resource=Resource.CPU,
    inputs=("label", "normalise"),
    schema=EVIDENCE,
    parameters=text_parameters,
    applies=is_trained_on,
    make_shard=_make,
)

"""The stage `index`: fingerprints of text and audio, by which duplicates are found."""

from typing import Final

from configs.schema import RunConfig
from storage.schema import row_ids
from tasks.corpora.base import Role
from tasks.index.schema import IDENTITIES
from tasks.index.shard import index_shard
from tasks.job import Inputs, Output
from tasks.score.stage import text_parameters
from tasks.stage import Resource, Scope, Stage
from tasks.text.comparison import comparison_of, normaliser


def _make(inputs: Inputs) -> Output:
    config = inputs.config
    audio = inputs.parquet("normalise")
    outcomes = index_shard(
        inputs.batches(audio),
        inputs.corpus.clean,
        normaliser(comparison_of(config.score, config.label).normaliser),
    )
    return Output(row_ids(audio.read(columns=["id"])), outcomes)


def checks_contamination(config: RunConfig) -> bool:
    """Whether some corpus of a run must not repeat evaluation speech."""
    filters = [config.filter_of(name) for name in config.corpora]
    return any(one.contamination is not None for one in filters)


def _applies(config: RunConfig, corpus: str, role: Role) -> bool:
    """All evaluation speech where some corpus must not repeat it; training speech by its audio."""
    if role != "train":
        return checks_contamination(config)
    contamination = config.filter_of(corpus).contamination
    return contamination is not None and contamination.audio


INDEX: Final = Stage(
    name="index",
    version=1,
    scope=Scope.SHARD,
    resource=Resource.CPU,
    inputs=("normalise",),
    schema=IDENTITIES,
    parameters=text_parameters,
    applies=_applies,
    make_shard=_make,
)

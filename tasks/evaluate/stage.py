"""The stage `evaluate`: one model on held-out speech, under one condition."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from storage.schema import row_ids
from tasks.evaluate.schema import MEASURED
from tasks.importing import import_transformers
from tasks.job import Inputs, Output
from tasks.score.stage import text_parameters
from tasks.stage import Parameter, Resource, Scope, Stage, StageContext, settings_parameters

_DECODING: Final = frozenset({"dtype", "language", "task", "max_new_tokens"})


def _make(inputs: Inputs) -> Output:
    import_transformers()
    from tasks.evaluate.engine import load_engine
    from tasks.evaluate.methods import prepared, sampled, transcriber
    from tasks.evaluate.shard import measure_shard

    config, job = inputs.config, inputs.job
    if job.model is None:
        raise ValueError(f"the job of {job.place.key} names no model to measure")
    audio = inputs.parquet("normalise")
    ids = row_ids(audio.read(columns=["id"]))
    left_out, batches = sampled(config, job.condition, ids, inputs.batches(audio))
    engine = load_engine(config, inputs.store, job.model)
    outcomes = measure_shard(
        batches,
        engine,
        inputs.corpus.clean,
        config.label,
        config.score,
        prepare=prepared(config, inputs.store, job),
        transcribe=transcriber(config, job.condition),
        speaker_ids=inputs.corpus.speaker_ids,
        num_threads=config.runtime.workers,
    )
    return Output(ids, chain(left_out, outcomes))


def _parameters(context: StageContext) -> Iterator[Parameter]:
    for one in settings_parameters(context.config.label):
        if one.name in _DECODING:
            yield one
    yield from text_parameters(context)


EVALUATE: Final = Stage(
    name="evaluate",
    version=3,
    scope=Scope.RUN,
    resource=Resource.DEVICE,
    inputs=("normalise",),
    schema=MEASURED,
    parameters=_parameters,
    make_shard=_make,
    defaults={
        "dtype": "float32",
        "language": "en",
        "task": "transcribe",
        "max_new_tokens": None,
    },
)

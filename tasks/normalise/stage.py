"""The stage `normalise`: decoded, cut and encoded as FLAC at Whisper's sample rate."""

from collections.abc import Iterator
from typing import Final

import pyarrow.parquet as pq

from storage.schema import row_ids
from tasks.download.files import Files
from tasks.download.origin import downloads_of_shard
from tasks.job import Inputs, Output
from tasks.normalise.schema import NORMALISED
from tasks.normalise.shard import normalise_shard
from tasks.stage import (
    Parameter,
    Resource,
    Scope,
    Stage,
    StageContext,
    is_trained_on,
    settings_parameters,
)


def _make(inputs: Inputs) -> Output:
    job, config = inputs.job, inputs.config
    segments = pq.ParquetFile(inputs.path("plan")).read_row_group(job.row_group)
    key = job.place.key
    role = inputs.corpus.splits[key.split]
    files = Files(
        inputs.store,
        config.corpora[key.corpus].mirror,
        downloads_of_shard(inputs.store, inputs.corpus, job.inputs["plan"], job.sources[0]),
    )
    outcomes = normalise_shard(
        segments,
        files.audio,
        key,
        config.normalise,
        limits_duration=is_trained_on(config, key.corpus, role),
    )
    return Output(row_ids(segments), outcomes)


def _parameters(context: StageContext) -> Iterator[Parameter]:
    yield from settings_parameters(context.config.normalise)


NORMALISE: Final = Stage(
    name="normalise",
    version=3,
    scope=Scope.SHARD,
    resource=Resource.CPU,
    inputs=("plan",),
    schema=NORMALISED,
    parameters=_parameters,
    make_shard=_make,
    defaults={
        "max_duration_s": 30.0,
        "min_duration_s": 0.1,
        "segment": "none",
        "voice_activity.threshold": 0.5,
        "voice_activity.max_pause_s": 1.0,
        "voice_activity.pad_s": 0.2,
    },
)

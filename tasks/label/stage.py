"""The stage `label`: pseudo-labels by the teacher."""

from collections.abc import Iterator
from typing import Final

from storage.schema import row_ids
from tasks.audio import SAMPLE_RATE_HZ
from tasks.importing import import_transformers
from tasks.job import Inputs, Output
from tasks.label.schema import LABELS
from tasks.stage import (
    Parameter,
    Resource,
    Scope,
    Stage,
    StageContext,
    is_trained_on,
    settings_parameters,
)
from tasks.whisper.identity import teacher_identity


def _make(inputs: Inputs) -> Output:
    # torch takes seconds to import, and most stages do without
    import_transformers()
    from tasks.label.shard import label_shard
    from tasks.whisper.engines import load_engine

    settings, runtime = inputs.config.label, inputs.config.runtime
    audio = inputs.parquet("normalise")
    engine = load_engine(settings, runtime)
    outcomes = label_shard(
        inputs.batches(audio),
        engine,
        settings,
        num_threads=runtime.workers,
        speaker_ids=inputs.corpus.speaker_ids,
    )
    draft = runtime.label_draft
    recorded: dict[str, float | int | str] = {
        "window_s": engine.window_samples / SAMPLE_RATE_HZ,
        "most_at_once": runtime.label_batch_size,
        "draft": teacher_identity(draft) if draft else "none",
    }
    return Output(row_ids(audio.read(columns=["id"])), outcomes, recorded)


def _parameters(context: StageContext) -> Iterator[Parameter]:
    settings = context.config.label
    yield Parameter("teacher", teacher_identity(settings.teacher))
    yield from settings_parameters(settings, exclude=frozenset({"teacher"}))
    if settings.pack != "none":
        yield Parameter("speaker_ids", context.corpus.speaker_ids)


LABEL: Final = Stage(
    name="label",
    version=3,
    scope=Scope.SHARD,
    resource=Resource.DEVICE,
    inputs=("normalise",),
    schema=LABELS,
    parameters=_parameters,
    applies=is_trained_on,
    make_shard=_make,
    defaults={
        "engine": "whisper",
        "dtype": "float32",
        "language": "en",
        "task": "transcribe",
        "timestamps": False,
        "pack": "speaker",
        "speaker_ids": "corpus",
        "max_new_tokens": None,
        "temperatures": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
        "max_compression_ratio": 2.4,
        "min_avg_logprob": -1.0,
        "max_no_speech_prob": 0.6,
    },
)

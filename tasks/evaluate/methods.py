"""How speech is prepared and transcribed under each condition."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from configs.evaluate import LongForm, Noise
from configs.schema import Label, RunConfig
from storage.outcome import Rejected, dropped
from storage.store import Store
from tasks.evaluate.conditions import AddedNoise, Condition
from tasks.evaluate.engine import teachers_window
from tasks.evaluate.long_form.chunked import transcribe_chunked
from tasks.evaluate.long_form.recordings import join_recordings
from tasks.evaluate.long_form.sequential import transcribe_sequential
from tasks.evaluate.noise.draws import sampled_ids
from tasks.evaluate.noise.kinds import source_of
from tasks.evaluate.noise.mixing import add_noise
from tasks.evaluate.noise.pool import babble_pool
from tasks.evaluate.noise.source import NoiseSource
from tasks.evaluate.shard import Transcribe
from tasks.evaluate.short_form import transcribe_utterances
from tasks.evaluate.spoken import Speech, Spoken
from tasks.job import Job
from tasks.text.comparison import comparison_of, normaliser
from tasks.whisper.ctc import CtcEngine
from tasks.whisper.engine import Engine
from tasks.whisper.whisper import WhisperEngine

NOT_SAMPLED: Final = "not_sampled"
"""The reason of utterances beyond the number to which noise is added."""


def sampled(
    config: RunConfig, condition: Condition, ids: Sequence[str], batches: Iterable[pa.RecordBatch]
) -> tuple[list[Rejected], Iterator[pa.RecordBatch]]:
    """The utterances of a shard that a condition is not tried on, and batches of the others."""
    noise = condition.noise
    if noise is None or noise.num_utterances is None:
        return [], iter(batches)
    seed = (config.evaluate.noise or Noise()).seed
    chosen = sampled_ids(ids, seed, noise.num_utterances)
    wanted = pa.array(chosen, pa.string())
    return (
        [dropped(one, NOT_SAMPLED) for one in ids if one not in chosen],
        (batch.filter(pc.is_in(batch.column("id"), wanted)) for batch in batches),
    )


def prepared(config: RunConfig, store: Store, job: Job) -> Callable[[Speech], Speech]:
    """What is done to the speech of a job before it is transcribed: noise, or joining.

    Long recordings are those that do not fit into the teacher's window, whatever the model's is, so
    that all models have the same ones.
    """
    condition = job.condition
    if condition.noise is not None:
        settings = config.evaluate.noise or Noise()
        source = _noise(store, job, condition.noise, settings)
        return partial(_with_noise, source=source, snr_db=condition.noise.snr_db)
    if condition.algorithm is not None:
        return partial(
            join_recordings,
            normalise=normaliser(comparison_of(config.score, config.label).normaliser),
            join=(config.evaluate.long_form or LongForm()).join,
            longer_than=teachers_window(config),
        )
    return _as_it_is


def transcriber(config: RunConfig, condition: Condition) -> Transcribe:
    """How speech is transcribed under a condition."""
    settings = config.evaluate.long_form or LongForm()
    match condition.algorithm:
        case "chunked":
            return partial(_chunked, settings=settings)
        case "sequential":
            return _sequential
        case None:
            return transcribe_utterances


def _as_it_is(speech: Speech) -> Speech:
    return speech


def _noise(store: Store, job: Job, added: AddedNoise, settings: Noise) -> NoiseSource:
    pool = babble_pool(store, job.babble, settings) if job.babble else None
    return source_of(added, settings, corpus=job.place.key.corpus, pool=pool)


def _with_noise(speech: Speech, *, source: NoiseSource, snr_db: float) -> Speech:
    for item in speech:
        if isinstance(item, Rejected):
            yield item
            continue
        spoken, samples = item
        mixture = add_noise(samples, source.noise_for(spoken), snr_db)
        yield replace(spoken, snr_db=mixture.snr_db), mixture.samples


def _chunked(
    engine: Engine, speech: Speech, label: Label, *, settings: LongForm
) -> Iterator[tuple[Spoken, str] | Rejected]:
    return transcribe_chunked(
        _with_tokens(engine),
        speech,
        label,
        chunk_s=settings.chunk_s,
        stride_s=settings.overlap_s,
    )


def _sequential(
    engine: Engine, speech: Speech, label: Label
) -> Iterator[tuple[Spoken, str] | Rejected]:
    whisper = _with_tokens(engine)
    if isinstance(whisper, CtcEngine):
        raise ValueError("a CTC model has no timestamps, by which long recordings are decoded")
    return transcribe_sequential(whisper, speech, label)


def _with_tokens(engine: Engine) -> WhisperEngine | CtcEngine:
    if isinstance(engine, WhisperEngine | CtcEngine):
        return engine
    raise ValueError(f"{type(engine).__name__} yields no tokens to merge")

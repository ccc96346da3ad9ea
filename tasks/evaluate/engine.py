"""The models of an evaluation, loaded, and the engines that transcribe held-out speech."""

import functools
import shlex
from pathlib import Path
from typing import Final

from transformers import WhisperFeatureExtractor

from configs.schema import RunConfig, Teacher
from storage.errors import IntegrityError, UserError
from storage.store import Store
from tasks.evaluate.models import MeasuredModel
from tasks.whisper.ctc import CtcEngine, load_ctc
from tasks.whisper.encoding.cache import FOLDER, OutputCache
from tasks.whisper.engine import Engine
from tasks.whisper.engines import require_whisper, whisper_engine
from tasks.whisper.model import LoadedWhisper, load_whisper, model_folder
from tasks.whisper.whisper import WhisperEngine

_MAX_ENGINES: Final = 2  # a teacher and a student


def load_model(config: RunConfig, store: Store, model: MeasuredModel) -> LoadedWhisper:
    """A Whisper of an evaluation; the last two are kept loaded in the process.

    Raises `IntegrityError` when a file of the student is not what its receipt says, `UserError` for
    a model that is not a Whisper, or when a file of another run's student is not.
    """
    require_whisper(config.label)
    return load_whisper(
        model_source(config, store, model), config.label.dtype, config.runtime.device
    )


def load_engine(config: RunConfig, store: Store, model: MeasuredModel) -> Engine:
    """The engine over a model of an evaluation, cached so that shards share its buffers.

    Raises what `load_model` raises, and `UserError` for a CTC model that is not one.
    """
    if model.engine == "ctc":
        return load_ctc_engine(config, store, model)
    loaded = load_model(config, store, model)
    if model.has_teachers_encoder:
        return evaluation_engine(config, store, loaded)
    return whisper_engine(loaded, config.runtime.label_batch_size)


def load_ctc_engine(config: RunConfig, store: Store, model: MeasuredModel) -> CtcEngine:
    """The engine over a CTC model, once per process; raises `UserError` if it is none."""
    source = {"engine": "ctc", "teacher": model_source(config, store, model)}
    return load_ctc(config.label.model_copy(update=source), config.runtime.device)


def teachers_window(config: RunConfig) -> int:
    """The length of the teacher's window, in samples at 16 kHz; its weights are not loaded."""
    return _window_of(str(model_folder(config.label.teacher)))


@functools.lru_cache(maxsize=4)
def _window_of(folder: str) -> int:
    extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
    num_samples: int = extractor.n_samples
    return num_samples


def evaluation_engine(config: RunConfig, store: Store, model: LoadedWhisper) -> WhisperEngine:
    """The engine over a model, with a cache of what others with its encoder encode alike."""
    batch_size = config.runtime.label_batch_size
    if not shares_encodings(config, model):
        return whisper_engine(model, batch_size)
    return _sharing(model, batch_size, store.scratch_folder(), config.runtime.encoder_cache_gb)


def model_source(config: RunConfig, store: Store, model: MeasuredModel) -> Teacher:
    """The folder or Hub id of a model of an evaluation; raises what `load_model` raises."""
    if model.source is not None:
        return model.source
    if model.student is None:
        raise ValueError(f"the model {model.name} has neither a source nor a receipt")
    files = model.student.output, *model.student.beside
    if model.root is None:
        return Teacher(path=str(store.local_folder(files)))
    try:
        folder = Store(model.root, config.runtime.scratch).local_folder(files)
    except IntegrityError as error:  # of the other root, which no command for this run repairs
        of_run = shlex.quote(str(config.evaluate.models[model.name].run))
        raise UserError(
            f"evaluate.models.{model.name}: {error}; again:"
            f" distillery repair {of_run} {shlex.quote(error.path)}"
        ) from error
    return Teacher(path=str(folder))


def shares_encodings(config: RunConfig, model: LoadedWhisper) -> bool:
    """Whether the model's encoder output is kept on disk for other models with its encoder.

    Those are the teacher and students whose encoder is frozen. A GPU encodes about as fast as a
    disk reads, and not every window alike in each batch.
    """
    is_kept = config.runtime.encoder_cache_gb > 0 and config.distil.freeze_encoder
    return is_kept and model.model.device.type == "cpu"


def encodings_of(model: LoadedWhisper, scratch: Path, limit_gb: float) -> OutputCache:
    """The exact encoder output of held-out speech, below the `scratch` folder.

    What was read is what would be computed, bit by bit: no figure depends on the cache.
    """
    encoder, dtype = model.model.model.encoder, str(model.model.dtype).removeprefix("torch.")
    return OutputCache(scratch / FOLDER, round(limit_gb * 1e9), encoder, dtype, is_exact=True)


@functools.lru_cache(maxsize=_MAX_ENGINES)
def _sharing(
    model: LoadedWhisper, batch_size: int, scratch: Path, limit_gb: float
) -> WhisperEngine:
    encodings = encodings_of(model, scratch, limit_gb)
    return WhisperEngine(model, batch_size, encoder_cache=encodings)

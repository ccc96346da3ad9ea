"""The stage `evaluate`: teacher and student on held-out speech."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from configs.schema import RunConfig, Teacher
from storage.receipt import Receipt
from storage.schema import row_ids
from storage.store import Store
from tasks.evaluate.schema import MEASURED
from tasks.job import Inputs, Output
from tasks.score.stage import text_parameters
from tasks.stage import Parameter, Resource, Scope, Stage, StageContext, settings_parameters

if TYPE_CHECKING:
    from tasks.whisper.model import LoadedWhisper

_DECODING: Final = frozenset({"dtype", "language", "task", "max_new_tokens"})


def _make(inputs: Inputs) -> Output:
    from tasks.evaluate.engine import evaluation_engine
    from tasks.evaluate.shard import measure_shard

    config = inputs.config
    audio = inputs.parquet("normalise")
    model = load_model(config, inputs.store, inputs.job.student)
    outcomes = measure_shard(
        inputs.batches(audio),
        evaluation_engine(config, inputs.store, model),
        inputs.corpus.clean,
        config.label,
        config.score,
        num_threads=config.runtime.workers,
    )
    return Output(row_ids(audio.read(columns=["id"])), outcomes)


def load_model(config: RunConfig, store: Store, student: Receipt | None) -> "LoadedWhisper":
    """The teacher, or the student of a receipt, loaded once a process.

    Raises `IntegrityError` when a file of the student is not what its receipt says, `UserError`
    for a teacher that is not a Whisper.
    """
    from tasks.whisper.engines import require_whisper
    from tasks.whisper.model import load_whisper

    require_whisper(config.label)
    settings = config.label.teacher
    if student is not None:
        folder = store.local_folder((student.output, *student.beside))
        settings = Teacher(path=str(folder))
    return load_whisper(settings, config.label.dtype, config.runtime.device)


def _parameters(context: StageContext) -> Iterator[Parameter]:
    for one in settings_parameters(context.config.label):
        if one.name in _DECODING:
            yield one
    yield from text_parameters(context)


EVALUATE: Final = Stage(
    name="evaluate",
    version=2,
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

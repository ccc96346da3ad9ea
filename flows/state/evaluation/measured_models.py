"""The models of an evaluation: teacher, student, and those that the settings name."""

import shlex
from collections.abc import Iterator

from configs.evaluate import TEACHER, EvaluatedModel
from configs.load import load_config
from configs.schema import RunConfig
from flows.state.corpus_state import corpus_states
from flows.state.models import find_student
from flows.state.publication import HolesError, find_current
from flows.state.repair import with_command
from storage.errors import IntegrityError, UserError
from storage.receipt import Receipt
from storage.store import Store
from tasks.evaluate.models import MeasuredModel, student_model
from tasks.whisper.identity import teacher_identity


def measured_models(config: RunConfig, student: Receipt) -> Iterator[MeasuredModel]:
    """The teacher, the student and the further models of `evaluate.models`, in this order.

    Raises `UserError` for the folder of a model that does not exist, and for another run whose
    student is not trained.
    """
    teacher = config.label.teacher
    yield MeasuredModel(name=TEACHER, identity=teacher_identity(teacher), source=teacher)
    yield student_model(student)
    for name, one in config.evaluate.models.items():
        yield _further(name, one)


def _further(name: str, settings: EvaluatedModel) -> MeasuredModel:
    if settings.run is not None:
        return _of_run(name, settings.run)
    source = settings.source
    identity = teacher_identity(source)
    return MeasuredModel(name=name, identity=identity, engine=settings.engine, source=source)


def _of_run(name: str, path: str) -> MeasuredModel:
    config = load_config(path)
    store = Store(config.root, config.runtime.scratch)
    try:
        states = corpus_states(config, store)
        published = find_current(config, store, states)
        student = find_student(config, store, states, published) if published else None
    except HolesError:
        student = None
    except IntegrityError as error:  # of the other root, which no command for this run repairs
        raise UserError(f"evaluate.models.{name}: {with_command(path, error)}") from error
    if student is None:
        raise UserError(
            f"evaluate.models.{name} is the student of {path}, which is not trained on the shards"
            f" as they are now; run `distillery run {shlex.quote(path)} --until distil` first"
        )
    return student_model(student, name=name, root=config.root)

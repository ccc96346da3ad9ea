"""One flow per stage. A shard that fails stops no other; the flow then ends as failed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import wraps
from typing import Annotated, Any, Final, TypeVar

from prefect import Flow, flow, get_run_logger
from pydantic import Field

from configs.schema import RunConfig
from flows.dispatch.advance import FixedUnits
from flows.dispatch.artifacts import ArtifactBar
from flows.dispatch.claims import show_claims
from flows.dispatch.curves import TrainingCurves
from flows.dispatch.lane import Ended, ShardsFailed
from flows.dispatch.progress import TrainingBars, progress
from flows.dispatch.runs import Runs
from flows.server.credentials import load_run
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.evaluation.current_report import evaluation_of, find_report, trained_on
from flows.state.evaluation.measurements import (
    Measurement,
    measurements,
)
from flows.state.frontier import Frontier, Unit
from flows.state.keep_rate import remarks
from flows.state.models import (
    find_student,
    student_receipt_path,
    validation_audio,
)
from flows.state.publication import HolesError, find_current, publish_manifest
from flows.state.repair import with_command
from flows.state.rerun import find_rerun
from storage.errors import IntegrityError
from storage.shard import ShardKey
from storage.store import Store
from tasks.distil.outlook import Outlook
from tasks.evaluate.result import load_report
from tasks.run import ShardFailed, distil_task, report_task, with_policy
from tasks.stages import CORPUS_STAGES, stage_named

R = TypeVar("R")


def open_store(config: RunConfig) -> Store:
    """The store of a run."""
    return Store(config.root, config.runtime.scratch)


def _corpus_flow(stage: str) -> Flow[[str, str], int]:
    @flow(name=stage, flow_run_name=f"{stage} {{corpus}}")
    def run(config: str, corpus: str) -> int:
        """Make all shards of this stage that are ready, those included that become so meanwhile.

        Returns how many there were; raises `ShardsFailed` naming those that failed.
        """
        settings = load_run(config)
        failures: list[ShardFailed] = []
        ended: list[Ended] = []
        while True:
            num_before = len(ended)
            given = {(one.unit.stage, one.unit.key) for one in ended}
            frontier = Frontier([CorpusState.open(settings, corpus)], stage, (stage,), given)
            runs = Runs(
                config=config, settings=settings, source=frontier, num_units=frontier.num_units
            )
            failures += runs.make(ended.append)
            if len(ended) == num_before:
                failures += blocked(frontier)
                break
        if failures:
            raise ShardsFailed(failures, config)
        return len(ended)

    return run


def blocked(frontier: Frontier) -> list[ShardFailed]:
    """The shards that wait for evaluation speech which is missing, as failures."""
    return [ShardFailed(stage, key, reason) for stage, key, reason in frontier.blocked()]


CORPUS_FLOWS: Final = {stage: _corpus_flow(stage) for stage in CORPUS_STAGES}


def _repairable(body: Callable[[str], R]) -> Callable[[str], R]:
    """Let an error about a damaged file end with the command that recreates it."""

    @wraps(body)
    def run(config: str) -> R:
        try:
            return body(config)
        except IntegrityError as error:
            raise with_command(config, error) from error

    return run


@flow(name="publish", flow_run_name="publish")
@_repairable
def publish(config: str) -> str:
    """Publish the manifest of a configuration; returns its name and number.

    Raises `HolesError` naming the missing shards.
    """
    settings = load_run(config)
    store = open_store(settings)
    published, _ = publish_manifest(settings, store)
    for remark in remarks(settings, store, corpus_states(settings, store)):
        get_run_logger().warning(remark)
    return f"{published.name}/{published.number}"


@flow(name="distil", flow_run_name="distil")
@_repairable
def distil(config: str) -> str:
    """Train the student of the published manifest unless it is trained; returns its weights' path.

    Raises `HolesError` when the shards as they are now are not published.
    """
    settings = load_run(config)
    store = open_store(settings)
    states = corpus_states(settings, store)
    published = find_current(settings, store, states)
    if published is None:
        raise HolesError("not distilled: the shards as they are now are not published")
    validation = validation_audio(states)
    receipt = find_student(settings, store, states, published)
    if receipt is None:
        num_steps = Outlook.of_content(settings, published.content).num_steps
        shown = TrainingBars(
            progress().bar("distil", num_steps, "steps"),
            ArtifactBar("distil", num_steps, "steps"),
        )
        with closing(TrainingCurves()) as curves:
            receipt = with_policy(distil_task, settings.runtime, is_shard=False)(
                settings,
                published,
                student_receipt_path(settings, published, validation),
                validation,
                shown,
                curves.follow,
            )
    return receipt.output.path


@flow(name="evaluate", flow_run_name="evaluate")
@_repairable
def evaluate(config: str) -> int:
    """Measure all models on held-out speech; returns how many shards were pending.

    Raises `HolesError` when there is no student of the current manifest, `ShardsFailed` when a
    shard could not be measured.
    """
    settings = load_run(config)
    store = open_store(settings)
    states = corpus_states(settings, store)
    published = find_current(settings, store, states)
    student = find_student(settings, store, states, published) if published else None
    if student is None or published is None:
        raise HolesError("not evaluated: no student is trained on the shards as they are now")
    found = measurements(settings, store, states, student)
    pending = [one for one in found if one.receipt is None]
    if not pending and find_report(settings, store, states, published) is not None:
        return 0
    _make(config, settings, _units(pending))
    found = measurements(settings, store, states, student)
    evaluation = evaluation_of(settings, states, found, trained_on(published))
    with_policy(report_task, settings.runtime, is_shard=False)(settings, evaluation)
    if (report := load_report(store, evaluation.path(settings))) is not None:
        show_claims(report)
    return len(pending)


MODEL_FLOWS: Final[Mapping[str, Flow[[str], Any]]] = {
    "publish": publish,
    "distil": distil,
    "evaluate": evaluate,
}


@flow(name="rerun-shard", flow_run_name="rerun {stage} {corpus}/{split}/{shard:05d}")
def rerun(
    config: str,
    stage: str,
    corpus: str,
    split: Annotated[str, Field(description="of a download: archives")],
    shard: Annotated[int, Field(ge=0, description="its number: 7 for corpus/split/00007")],
) -> None:
    """Make one shard again, whether or not it is done.

    A shard has the same name everywhere: `librispeech/train-clean-100/00007` is the corpus
    `librispeech`, the split `train-clean-100` and the shard 7; the split of a download is
    `archives`. What depends on it is made again by the next run if and only if its digest changed.
    """
    settings = load_run(config)
    state, again = find_rerun(settings, stage, ShardKey(corpus, split, shard))
    for path in again.stale:
        state.store.delete(path)
    resource = str(stage_named(stage).resource)
    unit = Unit(
        stage=stage,
        place=again.place,
        resource=resource,
        part=again.part,
        files=again.files,
        job=again.job,
    )
    _make(config, settings, [unit])


def _make(config: str, settings: RunConfig, units: Sequence[Unit]) -> None:
    runs = Runs(
        config=config,
        settings=settings,
        source=FixedUnits(units),
        num_units=lambda corpus, stage: sum(one.corpus == corpus for one in units),
    )
    if failures := runs.make():
        raise ShardsFailed(failures, config)


def _units(pending: Iterable[Measurement]) -> list[Unit]:
    resource = str(stage_named("evaluate").resource)
    return [
        Unit(stage="evaluate", place=one.job.place, resource=resource, job=one.job)
        for one in pending
    ]


def __getattr__(name: str) -> Flow[..., Any]:
    """The flow of a stage by its name, for deployments: `flows.stages.label`."""
    try:
        return CORPUS_FLOWS[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

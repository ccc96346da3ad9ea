"""The whole story, from raw corpora to a measured student, and each of its chapters as a flow."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from prefect import flow, get_run_logger

from configs.schema import RunConfig
from flows import shards
from flows.dispatch.artifacts import RunTables, shown_bar
from flows.dispatch.gather import NUM_TOLD, ShardsFailed, gather_in_parts
from flows.dispatch.work_pools import GPU_POOL, pool_of, run_elsewhere, run_model_elsewhere
from flows.server.credentials import load_run
from flows.state.corpus_state import corpus_states
from flows.state.keep_rate import remarks
from flows.state.models import (
    STUDENT,
    TEACHER,
    by_corpus,
    find_report,
    find_student,
    measurements,
    student_receipt_path,
    validation_audio,
)
from flows.state.publication import HolesError, find_current, publish_manifest
from flows.state.rerun import command_again
from flows.state.status import is_pending
from flows.synthetic import synthesise
from storage.errors import DistilleryError
from storage.receipts import summarise_all
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.registry import corpus_of_run, refuse_unlicensed
from tasks.run import (
    ShardFailed,
    distil_task,
    report_task,
    shard_task,
    with_policy,
)
from tasks.stages import STAGES, Stage, is_indexed

CORPUS_STAGES: Final[dict[Stage, Callable[[str, str], int]]] = {
    "download": shards.download,
    "plan": shards.plan,
    "normalise": shards.normalise,
    "label": shards.label,
    "score": shards.score,
    "index": shards.index,
    "filter": shards.filter_windows,
}


class RunFailed(DistilleryError):
    """A run that did all it could: the shards that failed, and what was therefore not done."""

    def __init__(
        self, config: str, failures: Sequence[ShardFailed], consequence: str | None
    ) -> None:
        told = [
            f"failed: {one}; again: {command_again(config, one.stage, one.key)}"
            for one in failures[:NUM_TOLD]
        ]
        more = len(failures) - len(told)
        told += [f"and {more} more shards failed"] if more > 0 else []
        super().__init__("; ".join([*told, consequence] if consequence else told))
        self.failures = tuple(failures)
        self.consequence = consequence


def open_store(config: RunConfig) -> Store:
    """The store of a run."""
    return Store(config.root, config.runtime.scratch)


@flow(name="publish", flow_run_name="publish")
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
        bar = shown_bar("distil", settings.distil.num_steps, "steps")

        def on_step(
            step: int, num_steps: int, loss: float, ce: float, kl: float, rate: float
        ) -> None:
            bar.advance_to(step)
            bar.say(f"loss {loss:.3f} = CE {ce:.3f}, KL {kl:.3f}; lr {rate:.1e}")

        receipt = with_policy(distil_task, settings.runtime, is_shard=False)(
            settings,
            published,
            student_receipt_path(settings, published, validation),
            validation,
            on_step,
        )
    return receipt.output.path


@flow(name="evaluate", flow_run_name="evaluate")
def evaluate(config: str) -> int:
    """Measure teacher and student on held-out speech; returns how many shards were pending.

    Raises `HolesError` when there is no student of the current manifest, `ShardsFailed` when a
    shard could not be measured.
    """
    settings = load_run(config)
    store = open_store(settings)
    states = corpus_states(settings, store)
    published = find_current(settings, store, states)
    student = find_student(settings, store, states, published) if published else None
    if student is None:
        raise HolesError("not evaluated: no student is trained on the shards as they are now")
    found = measurements(settings, store, states, student)
    pending = [one for one in found if one.receipt is None]
    if not pending and find_report(settings, store, states, published) is not None:
        return 0
    for model in (TEACHER, STUDENT):
        work = {
            one.key: {"config": settings, "job": one.job} for one in pending if one.model == model
        }
        folders = {one.job.place.folder for one in pending if one.model == model}
        gather_in_parts(
            with_policy(shard_task, settings.runtime),
            "evaluate",
            work,
            settings.runtime,
            shown_bar(f"evaluate {model}", len(work), "shards"),
            partial(summarise_all, store, folders),
        )
    found = measurements(settings, store, states, student)
    with_policy(report_task, settings.runtime, is_shard=False)(
        settings,
        (by_corpus(found, TEACHER), by_corpus(found, STUDENT)),
        [one.audio for one in found if one.model == TEACHER and _is_short(settings, one.key)],
        student,
    )
    return len(pending)


def _is_short(settings: RunConfig, key: ShardKey) -> bool:
    """Whether a shard has utterances by which models can be timed side by side."""
    return not corpus_of_run(settings, key.corpus).whole_recordings


MODEL_STAGES: Final[dict[Stage, Callable[[str], object]]] = {
    "publish": publish,
    "distil": distil,
    "evaluate": evaluate,
}


@flow(name="distillery", flow_run_name="distillery {config}")
def pipeline(config: str, until: Stage = "evaluate", deployment: str | None = None) -> None:
    """All stages up to `until`, each for every corpus; what is done already is not done again.

    With `deployment`, stages that want a GPU run as the deployments of that name, in their own
    work pool. A shard that fails stops neither the others nor the stages after it for them. Raises
    `RunFailed` with all failures at the end; with a hole nothing is published.
    """
    settings = load_run(config)
    refuse_unlicensed(settings)
    store = open_store(settings)
    before = corpus_states(settings, store)
    if not is_pending(settings, store, until, before):
        get_run_logger().info("everything up to %s is done: nothing is made", until)
        return
    synthesise(settings, store)
    firsts = {state.corpus.name: state.next_stage for state in before}
    tables = RunTables(config, settings, store)
    failures: list[ShardFailed] = []
    for stage in STAGES[: STAGES.index(until) + 1]:
        if stage == "index" and not is_indexed(settings):
            continue
        elsewhere = deployment if pool_of(settings.runtime, stage) == GPU_POOL else None
        try:
            begun = [name for name, first in firsts.items() if _is_due(settings, stage, first)]
            failures += _run_stage(config, settings, stage, begun, elsewhere)
        except DistilleryError as error:
            if not failures:
                raise
            raise RunFailed(config, failures, str(error)) from error
        finally:
            tables.show()
    if failures:
        raise RunFailed(config, failures, None)


def _is_due(settings: RunConfig, stage: Stage, first: Stage | None) -> bool:
    """Whether a corpus has something to do in `stage`, or may have once its `first` is done.

    What others have indexed by then may decide what is kept of it.
    """
    if stage == "filter" and is_indexed(settings):
        return True
    return first is not None and STAGES.index(stage) >= STAGES.index(first)


def _run_stage(
    config: str, settings: RunConfig, stage: Stage, corpora: Sequence[str], elsewhere: str | None
) -> list[ShardFailed]:
    """Make one stage, here or by the deployment `elsewhere`; returns the shards that failed."""
    try:
        if stage in MODEL_STAGES:
            _model_stage(config, settings, stage, elsewhere)
            return []
        return [
            failure
            for corpus in corpora
            for failure in _corpus_stage(config, settings, stage, corpus, elsewhere)
        ]
    except ShardsFailed as failed:
        return list(failed.failures)


def _corpus_stage(
    config: str, settings: RunConfig, stage: Stage, corpus: str, elsewhere: str | None
) -> Sequence[ShardFailed]:
    if elsewhere is not None:
        return run_elsewhere(config, settings, elsewhere, stage, corpus)
    try:
        CORPUS_STAGES[stage](config, corpus)
    except ShardsFailed as failed:
        return failed.failures
    return ()


def _model_stage(config: str, settings: RunConfig, stage: Stage, elsewhere: str | None) -> None:
    if elsewhere is None:
        MODEL_STAGES[stage](config)
        return
    store = open_store(settings)
    if is_pending(settings, store, stage, corpus_states(settings, store)):
        run_model_elsewhere(config, elsewhere, stage)

"""The whole story, from raw corpora to a measured student, and each of its chapters as a flow."""

from collections.abc import Callable
from functools import partial
from typing import Final

from prefect import flow, get_run_logger

from configs.schema import RunConfig
from flows import shards
from flows.chain import chains
from flows.content import HolesError, find_current, publish_manifest
from flows.credentials import load_run
from flows.models import (
    STUDENT,
    TEACHER,
    by_corpus,
    find_student,
    measurements,
    student_receipt_path,
    validation_audio,
)
from flows.progress import progress
from flows.shards import ShardsFailed, gather_in_parts
from flows.status import is_pending
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
from tasks.stages import STAGES

_CORPUS_STAGES: Final[dict[str, Callable[[str, str], int]]] = {
    "download": shards.download,
    "plan": shards.plan,
    "normalise": shards.normalise,
    "label": shards.label,
    "score": shards.score,
    "filter": shards.filter_windows,
}


class RunFailed(DistilleryError):
    """A run that did all it could: the shards that failed, and what was therefore not done."""

    def __init__(self, failures: tuple[ShardFailed, ...], consequence: str | None) -> None:
        super().__init__(consequence or f"{len(failures)} shards failed")
        self.failures = failures
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
    published, _ = publish_manifest(settings, open_store(settings))
    return f"{published.name}/{published.number}"


@flow(name="distil", flow_run_name="distil")
def distil(config: str) -> str:
    """Train the student of the published manifest unless it is trained; returns its weights' path.

    Raises `HolesError` when the shards as they are now are not published.
    """
    settings = load_run(config)
    store = open_store(settings)
    all_chains = chains(settings, store)
    published = find_current(settings, store, all_chains)
    if published is None:
        raise HolesError("not distilled: the shards as they are now are not published")
    validation = validation_audio(all_chains)
    receipt = find_student(settings, store, all_chains, published)
    if receipt is None:
        bar = progress().bar("distil", settings.distil.num_steps, "steps")

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
    all_chains = chains(settings, store)
    published = find_current(settings, store, all_chains)
    student = find_student(settings, store, all_chains, published) if published else None
    if student is None:
        raise HolesError("not evaluated: no student is trained on the shards as they are now")
    found = measurements(settings, store, all_chains, student)
    pending = [one for one in found if one.receipt is None]
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
            progress().bar(f"evaluate {model}", len(work), "shards"),
            partial(summarise_all, store, folders),
        )
    found = measurements(settings, store, all_chains, student)
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


_MODEL_STAGES: Final[dict[str, Callable[[str], object]]] = {
    "publish": publish,
    "distil": distil,
    "evaluate": evaluate,
}


@flow(name="distillery", flow_run_name="distillery {config}")
def pipeline(config: str, until: str = "evaluate") -> None:
    """All stages up to `until`, each for every corpus; what is done already is not done again.

    A shard that fails stops neither the others nor the stages after it for them. Raises
    `RunFailed` with all failures at the end; with a hole nothing is published.
    """
    settings = load_run(config)
    refuse_unlicensed(settings)
    store = open_store(settings)
    before = chains(settings, store)
    if not is_pending(settings, store, until, before):
        get_run_logger().info("nothing to do: all is done up to %s", until)
        return
    first = {chain.corpus.name: chain.next_stage for chain in before}
    failures: list[ShardFailed] = []
    for stage in STAGES[: STAGES.index(until) + 1]:
        if stage in _CORPUS_STAGES:
            for corpus, begin in first.items():
                if begin is None or STAGES.index(stage) < STAGES.index(begin):
                    continue
                try:
                    _CORPUS_STAGES[stage](config, corpus)
                except ShardsFailed as failed:
                    failures += failed.failures
            continue
        try:
            _MODEL_STAGES[stage](config)
        except ShardsFailed as failed:
            failures += failed.failures
        except DistilleryError as error:
            if not failures:
                raise
            raise RunFailed(tuple(failures), str(error)) from error
    if failures:
        raise RunFailed(tuple(failures), None)

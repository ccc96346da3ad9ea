"""The pipeline, from raw corpora to an evaluated student."""

import shlex
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from prefect import flow, get_run_logger

from configs.schema import RunConfig
from flows.dispatch.artifacts import RunTables
from flows.dispatch.lane import NUM_SHOWN, Ended, ShardsFailed
from flows.dispatch.runs import Runs
from flows.dispatch.work_pools import GPU_POOL, pool_of, run_model_elsewhere
from flows.report.write import write_page
from flows.server.credentials import load_run
from flows.stages import MODEL_FLOWS, blocked, open_store, publish
from flows.state.corpus_state import corpus_states
from flows.state.frontier import Frontier
from flows.state.mending import Repairs, damaged_files
from flows.state.repair import again_command
from flows.state.status import is_pending
from flows.synthetic import synthesise
from storage.errors import DistilleryError
from tasks.corpora.registry import refuse_unlicensed
from tasks.run import ShardFailed
from tasks.stages import STAGE_NAMES


class RunFailed(DistilleryError):
    """A run that did all it could: the shards that failed, and what was therefore not done."""

    def __init__(
        self, config: str, failures: Sequence[ShardFailed], consequence: str | None
    ) -> None:
        shown = [
            f"failed: {one}; again: {again_command(config, one)}" for one in failures[:NUM_SHOWN]
        ]
        more = len(failures) - len(shown)
        shown += [f"and {more} more shards failed"] if more > 0 else []
        super().__init__("; ".join([*shown, consequence] if consequence else shown))
        self.failures = tuple(failures)
        self.consequence = consequence


@flow(name="distillery", flow_run_name="distillery {config}")
def pipeline(config: str, until: str = STAGE_NAMES[-1], deployment: str | None = None) -> None:
    """Every stage up to `until`; what is done already is not done again.

    Each corpus advances from download to filter at its own pace; then the manifest is published,
    the student trained and both models evaluated. At the end a page about the run is written. With
    `deployment`, stages that want a GPU run as the deployments of that name, in their own work
    pool. A shard that fails stops no other. A stored file that is found to be damaged is made
    again, once. Raises `RunFailed` with all failures at the end; an incomplete manifest is not
    published.
    """
    settings = load_run(config)
    refuse_unlicensed(settings)
    store = open_store(settings)
    repairs = Repairs(settings, store)
    if not repairs.reading(lambda: _is_pending(settings, until)):
        get_run_logger().info("everything up to %s is done", until)
        return
    synthesise(settings, store)
    with RunTables(config, settings, store).kept_up_to_date() as tables:
        failures, error = _every_stage(config, settings, until, deployment)
        while mended := repairs.mend(damaged_files(error, *failures)):
            get_run_logger().warning("damaged, and therefore made again: %s", ", ".join(mended))
            synthesise(settings, store)
            failures, error = _every_stage(config, settings, until, deployment)
        _report(config, settings, tables)
    if failures:
        raise RunFailed(config, failures, None if error is None else str(error)) from error
    if error is not None:
        raise error


def _every_stage(
    config: str, settings: RunConfig, until: str, deployment: str | None
) -> tuple[list[ShardFailed], DistilleryError | None]:
    """Make what is pending up to `until`: the shards that failed, and what stopped the rest."""
    failures: list[ShardFailed] = []
    wanted = STAGE_NAMES[: STAGE_NAMES.index(until) + 1]
    try:
        failures += advance_corpora(config, settings, until, deployment)
        for stage in [name for name in MODEL_FLOWS if name in wanted]:
            try:
                _model_stage(config, settings, stage, deployment)
            except ShardsFailed as failed:
                failures += failed.failures
    except DistilleryError as error:
        return failures, error
    return failures, None


def _report(config: str, settings: RunConfig, tables: RunTables) -> None:
    """Write the page about the run, and link it; nothing else depends on it."""
    store = open_store(settings)
    try:
        path, _ = write_page(settings, store, corpus_states(settings, store))
    except DistilleryError as error:
        named = shlex.quote(config)
        get_run_logger().warning(
            "no report is written: %s; then `distillery report %s` writes it", error, named
        )
        return
    get_run_logger().info("the report is %s", store.url(path))
    tables.link("report", "The run on one page", path)


def advance_corpora(
    config: str, settings: RunConfig, until: str, deployment: str | None
) -> list[ShardFailed]:
    """Make what is ready in every corpus until nothing is; returns the shards that failed.

    The manifest is published as soon as all training shards are complete.
    """
    frontier = Frontier(corpus_states(settings, open_store(settings)), until)
    early: list[Future[str]] = []

    def publish_early(ended: Ended) -> None:
        if publishes and not early and frontier.is_training_complete:
            context = copy_context()
            early.append(publisher.submit(lambda: context.run(publish, config)))

    publishes = STAGE_NAMES.index(until) >= STAGE_NAMES.index("publish")
    runs = Runs(
        config=config,
        settings=settings,
        source=frontier,
        num_units=frontier.num_units,
        is_pipeline=True,
        deployment=deployment,
    )
    with ThreadPoolExecutor(1, "publish") as publisher:
        failures = runs.make(publish_early)
    for published in early:
        published.result()
    return [*failures, *blocked(frontier)]


def _model_stage(config: str, settings: RunConfig, stage: str, deployment: str | None) -> None:
    if not _is_pending(settings, stage):
        return
    if deployment is None or pool_of(settings.runtime, stage) != GPU_POOL:
        MODEL_FLOWS[stage](config)
    else:
        run_model_elsewhere(config, deployment, stage)


def _is_pending(settings: RunConfig, until: str) -> bool:
    store = open_store(settings)
    return is_pending(settings, store, until, corpus_states(settings, store))

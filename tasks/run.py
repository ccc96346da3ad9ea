"""Prefect policy on one page: what is retried, time limits, and names of tasks.

Receipts are the truth and Prefect schedules and shows, so nothing is cached and no result is
persisted: a task that finds its receipt returns it, and a retried flow redoes only what has none.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, ParamSpec, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency
from prefect.logging import get_logger

from configs.schema import RunConfig, Runtime
from storage.errors import DistilleryError, IntegrityError, TransientError
from storage.manifest import Manifest
from storage.receipt import FileRef, Receipt
from storage.receipts import record_failure
from storage.shard import ShardKey
from storage.stage import Place
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.device_pool import device_pool
from tasks.distil.outlook import Outlook
from tasks.distil.progress.choice import describe_trackers
from tasks.distil.progress.rows import OnRows, OnStep, ignored
from tasks.download.fetch import OnBytes
from tasks.download.parts import Part, host_of
from tasks.download.raw import download
from tasks.evaluate.result import Evaluation
from tasks.importing import import_transformers
from tasks.job import Job
from tasks.stage import Resource
from tasks.stages import stage_named
from tasks.text.display import lines, one_line
from tasks.work import run_job, run_plan

P = ParamSpec("P")
R = TypeVar("R")

_JITTER: Final = 0.3
_BACK_OFF: Final = 3
_TRANSIENT: Final = (TransientError, ConnectionError, TimeoutError)


class ShardFailed(DistilleryError):
    """A shard for which this run has no receipt, and why.

    `damaged` is the path of the stored file whose damage is the reason; "" for any other reason.
    """

    def __init__(self, stage: str, key: ShardKey, reason: str, damaged: str = "") -> None:
        super().__init__(f"{stage} {key}: {reason}")
        self.stage = stage
        self.key = key
        self.reason = reason
        self.damaged = damaged

    def __reduce__(self) -> tuple[type["ShardFailed"], tuple[str, ShardKey, str, str]]:
        return ShardFailed, (self.stage, self.key, self.reason, self.damaged)


class _Harmless(logging.Filter):
    """Shows control characters of messages and errors as escapes, since logs are read raw."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = lines(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = lines(logging.Formatter().formatException(record.exc_info))
        return True


class _WithoutAdvice(logging.Filter):
    """Drops the warning of each task that its timeout cannot interrupt a blocking call."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("Timeout of %s seconds configured for this task")


_FILTERS: Final = {
    "prefect.task_runs": (_WithoutAdvice(), _Harmless()),
    "prefect.flow_runs": (_Harmless(),),
}


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, _TRANSIENT) or (
        error.__cause__ is not None and is_transient(error.__cause__)
    )


def _retry(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and is_transient(error)


def _explained(store: Store, place: Place, make: Callable[[], Receipt]) -> Receipt:
    """The receipt, or a recorded failure and a `ShardFailed` of one line."""
    logger = get_run_logger()
    logger.info("%s %s: begins", place.stage, place.key)
    begun_at = time.monotonic()
    try:
        receipt = make()
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "no message")
        reason = first if isinstance(error, DistilleryError) else f"{type(error).__name__}: {first}"
        reason = one_line(reason)  # it becomes the message of a state in Prefect
        damaged = error.path if isinstance(error, IntegrityError) else ""
        failed_at = datetime.now(UTC).isoformat(timespec="seconds")
        record_failure(store, place, reason, failed_at, damaged)
        raise ShardFailed(place.stage, place.key, reason, damaged) from error
    counts = receipt.counts
    logger.info(
        "%s %s: %d rows in, %d out, dropped %s, quarantined %s, %.3f h of speech, %.1f s; %s",
        place.stage,
        place.key,
        counts.rows_in,
        counts.rows_out,
        dict(counts.dropped),
        dict(counts.quarantined),
        receipt.hours,
        time.monotonic() - begun_at,
        receipt.output.path,
    )
    return receipt


@task(name="shard", task_run_name="{job.place.stage} {job.place.key}")
def shard_task(config: RunConfig, job: Job) -> Receipt:
    """Make one shard of one stage; raises `ShardFailed` with the reason in one line."""
    store = Store(config.root, config.runtime.scratch)
    return _explained(store, job.place, lambda: _run_on_device(config, job))


def _run_on_device(config: RunConfig, job: Job) -> Receipt:
    """Run a job, in the process of a free device if its stage needs one and there are any."""
    devices = config.runtime.devices
    if not devices or stage_named(job.place.stage).resource is not Resource.DEVICE:
        return run_job(config, job)
    kind = devices[0].partition(":")[0]
    runtime = config.runtime.model_copy(update={"device": kind})
    return device_pool(devices).run(run_job, config.model_copy(update={"runtime": runtime}), job)


def _limit(host: str) -> str:
    return f"download-{host}"


def download_limits(config: RunConfig) -> dict[str, int]:
    """Global concurrency limits: the most downloads from each host by all workers together."""
    hosts = {
        host_of(settings, source)
        for name, settings in config.corpora.items()
        for source in corpus_of_run(config, name).sources
    }
    return {_limit(host): config.runtime.downloads_per_host for host in hosts if host}


@task(name="download", task_run_name="download {part.key} {part.name}")
def download_task(
    config: RunConfig, part: Part, place: Place, on_bytes: OnBytes | None = None
) -> Receipt:
    """Download one part of a corpus; raises `ShardFailed` with the reason in one line."""
    store = Store(config.root, config.runtime.scratch)
    corpus, settings = corpus_of_run(config, part.key.corpus), config.corpora[part.key.corpus]
    num_per_host = config.runtime.downloads_per_host
    max_expansion = config.runtime.max_expansion

    host = host_of(settings, part.source)
    limits = [_limit(host)] if host else []

    def bring() -> Receipt:
        with concurrency(limits):
            return download(store, corpus, settings, part, on_bytes, num_per_host, max_expansion)

    return _explained(store, place, bring)


@task(name="plan", task_run_name="plan {place.key}")
def plan_task(config: RunConfig, place: Place, archives: Sequence[Receipt]) -> Receipt:
    """Plan the next part of a split; raises `ShardFailed` with the reason in one line."""
    store = Store(config.root, config.runtime.scratch)
    return _explained(store, place, lambda: run_plan(config, place, archives))


@task(name="distil", task_run_name="distil {published.content.name}/{published.number}")
def distil_task(
    config: RunConfig,
    published: Manifest,
    receipt_path: str,
    validation: Sequence[tuple[str, FileRef]],
    on_step: OnStep | None = None,
    on_rows: OnRows = ignored,
) -> Receipt:
    """Train the student of a manifest; a retry continues from the last checkpoint."""
    import_transformers()
    from tasks.distil.make import make_student_of

    get_run_logger().info("training: %s", Outlook.of_content(config, published.content))
    device_pool(config.runtime.devices).close()  # training needs their memory
    store = Store(config.root, config.runtime.scratch)
    if where := describe_trackers(config.runtime, store):
        get_run_logger().info("training: %s", where)
    return make_student_of(config, store, published, receipt_path, validation, on_step, on_rows)


@task(name="report", task_run_name="report {config.publish.name}")
def report_task(config: RunConfig, evaluation: Evaluation) -> None:
    """Summarise what was measured, and measure speed with nothing else running."""
    import_transformers()
    from tasks.evaluate.report import make_report

    device_pool(config.runtime.devices).close()  # nothing else may run during the timing
    make_report(config, Store(config.root, config.runtime.scratch), evaluation)


def with_policy(policed: Task[P, R], runtime: Runtime, *, is_shard: bool = True) -> Task[P, R]:
    """A task with the policy of a run: no caching, retries of transient errors, a time limit.

    The time limit interrupts Python code; a blocking call first has to end by a limit of its own,
    such as that of a download. Training has no limit, and continues from a checkpoint.
    """
    for name, filters in _FILTERS.items():
        for one in filters:
            get_logger(name).addFilter(one)
    delays = [runtime.retry_delay_s * _BACK_OFF**attempt for attempt in range(runtime.retries)]
    return policed.with_options(
        cache_policy=NO_CACHE,
        persist_result=False,
        retry_condition_fn=_retry,
        retry_jitter_factor=_JITTER,
        retries=runtime.retries,
        retry_delay_seconds=delays or 0,
        timeout_seconds=runtime.shard_timeout_s if is_shard else None,
    )

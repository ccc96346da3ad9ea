"""A run on this machine: made-up corpora first, a Prefect server of its own, and the flows."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from configs.schema import RunConfig
from flows.commands.screen import on_screen
from flows.doctor.examine import refuse_hopeless
from flows.server.local import prefect_api
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.rerun import find_again, rerun_stage
from flows.state.status import is_pending
from flows.synthetic import synthesise
from storage.shard import ShardKey
from storage.store import Store

_DRAIN_LIMIT_S: Final = 10.0


def run_locally(
    config: Path,
    settings: RunConfig,
    store: Store,
    until: str,
    prefect_home: Path,
    *,
    quiet: bool = False,
) -> Sequence[CorpusState]:
    """Do what is pending up to `until`, and nothing is started when nothing is.

    Returns how far each corpus is then. Raises `HopelessError` for what is known to fail before
    anything is brought, and `flows.pipeline.RunFailed` naming what failed.
    """
    found = corpus_states(settings, store)
    if not is_pending(settings, store, until, found):
        return found
    refuse_hopeless(settings, store, until)
    with nullcontext() if quiet else on_screen(), prefect_here(prefect_home) as wait_until_up:
        from flows.pipeline import pipeline

        synthesise(settings, store)
        wait_until_up()
        pipeline(str(config), until)
    return corpus_states(settings, store)


def rerun_locally(
    config: Path, settings: RunConfig, stage: str, shard: str, prefect_home: Path
) -> None:
    """Make one shard again, such as `label librispeech/train-clean-100/00007`.

    Raises what `find_again` raises, and `flows.dispatch.gather.ShardsFailed` when the shard fails.
    """
    found, key = rerun_stage(stage), ShardKey.parse(shard)
    find_again(settings, found, key)  # mistakes are told before anything is started
    with on_screen(), prefect_here(prefect_home) as wait_until_up:
        from flows.stages import rerun

        wait_until_up()
        rerun(str(config), found, key.corpus, key.split, key.index)


@contextmanager
def prefect_here(home: Path) -> Iterator[Callable[[], None]]:
    """A Prefect API for flows of this process, and nothing of its log left behind."""
    is_own = not os.environ.get("PREFECT_API_URL")
    with prefect_api(home) as wait_until_up:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        # nobody listens to heartbeats on a server that ends with the run, and each flow would
        # wait up to a second for its last one
        silent = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if is_own else {}
        with temporary_settings(updates=silent):
            try:
                yield wait_until_up
            finally:
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=_DRAIN_LIMIT_S)

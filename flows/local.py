"""A run on this machine: made-up corpora first, a Prefect server of its own, and the flows."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

from configs.schema import RunConfig
from flows.chain import Chain, chains
from flows.doctor import refuse_hopeless
from flows.progress import progress
from flows.rerun import find_again
from flows.screen import on_screen
from flows.server import prefect_api
from flows.status import is_pending
from storage.errors import UserError
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
) -> Sequence[Chain]:
    """Do what is pending up to `until`, and nothing is started when nothing is.

    Returns how far each corpus is then. Raises `HopelessError` for what is known to fail before
    anything is brought, and `flows.pipeline.RunFailed` naming what failed.
    """
    found = chains(settings, store)
    if not is_pending(settings, store, until, found):
        return found
    refuse_hopeless(settings, store, until)
    with nullcontext() if quiet else on_screen(), prefect_here(prefect_home) as wait_until_up:
        from flows.pipeline import pipeline

        synthesise(settings, store)
        wait_until_up()
        pipeline(str(config), until)
    return chains(settings, store)


def rerun_locally(
    config: Path, settings: RunConfig, stage: str, shard: str, prefect_home: Path
) -> None:
    """Make one shard again; raises what `flows.shards.rerun` raises."""
    find_again(settings, stage, shard)  # mistakes are told before anything is started
    with on_screen(), prefect_here(prefect_home) as wait_until_up:
        from flows.shards import rerun

        wait_until_up()
        rerun(str(config), stage, shard)


def synthesise(settings: RunConfig, store: Store) -> None:
    """Make the archives of a synthetic configuration unless they are downloaded already.

    Raises `UserError` when the voices are not installed or a corpus has no synthetic form.
    """
    if settings.synthetic is None:
        return
    pending = [
        chain.corpus.name
        for chain in chains(settings, store)
        if chain.downloads.missing() and chain.settings.local is None
    ]
    if not pending:
        return
    from tasks.demo.corpora import UnknownDemoCorpusError, write_corpora
    from tasks.demo.voices import SpeechSynthesisError

    made = settings.synthetic
    total = len(pending) * (made.num_train_utterances + 2 * made.num_eval_utterances)
    bar = progress().bar("synthesise", total, "utterances")
    try:
        write_corpora(
            Path(made.folder),
            pending,
            made.seed,
            made.num_train_utterances,
            made.num_eval_utterances,
            lambda done, _: bar.advance_to(done),
        )
    except (SpeechSynthesisError, UnknownDemoCorpusError, OSError) as error:
        raise UserError(str(error)) from error


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

"""A run on this machine: checks, synthetic corpora, a Prefect API, and the flows in this process.

It prints nothing. A caller that wants to see progress watches it with
`flows.dispatch.progress.watched_by`.
"""

from collections.abc import Sequence
from pathlib import Path

from configs.schema import RunConfig
from flows.doctor.examine import require_possible
from flows.server.session import prefect_session
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.mending import Repairs
from flows.state.rerun import find_rerun, rerun_stage
from flows.state.status import is_pending
from flows.synthetic import synthesise
from storage.shard import ShardKey
from storage.store import Store


def run_locally(
    config: Path, settings: RunConfig, store: Store, until: str, prefect_home: Path
) -> Sequence[CorpusState]:
    """Process what is pending up to the stage `until`; starts nothing when nothing is pending.

    Returns the state of each corpus after the run. Raises `ImpossibleRunError` before anything is
    downloaded if the run is known to fail, and `flows.pipeline.RunFailed` naming what failed.
    """
    states, pending = Repairs(settings, store).reading(lambda: _standing(settings, store, until))
    if not pending:
        return states
    require_possible(settings, store, until)
    with prefect_session(prefect_home) as wait_until_up:
        from flows.pipeline import pipeline

        synthesise(settings, store)  # while the server starts
        wait_until_up()
        pipeline(str(config), until)
    return corpus_states(settings, store)


def _standing(settings: RunConfig, store: Store, until: str) -> tuple[Sequence[CorpusState], bool]:
    """The state of each corpus, and whether anything up to `until` is pending."""
    states = corpus_states(settings, store)
    return states, is_pending(settings, store, until, states)


def rerun_locally(
    config: Path, settings: RunConfig, stage: str, shard: str, prefect_home: Path
) -> None:
    """Process one shard again, such as `label librispeech/train-clean-100/00007`.

    Raises what `find_rerun` raises, and `flows.dispatch.lane.ShardsFailed` when the shard fails.
    """
    known_stage, key = rerun_stage(stage), ShardKey.parse(shard)
    find_rerun(settings, known_stage, key)  # reports mistakes before a server is started
    with prefect_session(prefect_home) as wait_until_up:
        from flows.stages import rerun

        wait_until_up()
        rerun(str(config), known_stage, key.corpus, key.split, key.index)

"""Recreating a damaged file on this machine, by the flow that made it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from configs.schema import RunConfig
from flows.server.session import prefect_session
from flows.state.corpus_state import CorpusState
from flows.state.mending import damaged_files, mend
from flows.state.repair import Kind, Producer, is_stored, producer_of
from flows.state.rerun import find_rerun
from flows.state.verification import is_current, verify_file
from flows.synthetic import synthesise
from storage.errors import DistilleryError, IntegrityError, UserError
from storage.shard import ShardKey
from storage.store import Store
from tasks.download.stage import DOWNLOAD
from tasks.plan.stage import PLAN
from tasks.stages import CORPUS_STAGES, SHARD_STAGES


def repair_locally(
    config: Path, settings: RunConfig, store: Store, path: str, prefect_home: Path
) -> str:
    """Recreate the stored file at `path` if it is damaged; says in one line what was done.

    What turns out to be damaged on the way is recreated before. Raises `UserError` for a file that
    this configuration did not make and for a manifest that must be restored from a backup, and
    `flows.dispatch.lane.ShardsFailed` where the shard fails for another reason.
    """
    wanted = producer_of(path.removeprefix(f"{settings.root.rstrip('/')}/"))
    try:
        verify_file(store, wanted)
    except IntegrityError:
        with ExitStack() as opened:
            work = _Work(config, settings, store, cache(lambda: _session(opened, prefect_home)))
            return f"repaired: {', '.join(map(str, work.repair(wanted)))}"
    return f"{wanted.path} is not damaged"


def _session(opened: ExitStack, prefect_home: Path) -> None:
    opened.enter_context(prefect_session(prefect_home))()


class _Work:
    """Repairs files by flows; `start` provides the Prefect API that these need."""

    def __init__(
        self, config: Path, settings: RunConfig, store: Store, start: Callable[[], None]
    ) -> None:
        self._config, self._settings, self._store = str(config), settings, store
        self._start = start

    def repair(self, wanted: Producer) -> list[Producer]:
        """Repair a file, and before it whatever else turns out to be damaged; returns all."""
        waiting, mended = [wanted], list[Producer]()
        while waiting:
            damaged = waiting[-1]
            try:
                if damaged not in mended:
                    self._refuse_other_settings(damaged)
                    mend(self._settings, self._store, damaged)
                    mended.append(damaged)
                self._make(damaged)
            except DistilleryError as error:
                paths = damaged_files(error, *getattr(error, "failures", ()))
                found = [producer_of(path) for path in dict.fromkeys(paths) if is_stored(path)]
                new = [one for one in found if one not in mended and one not in waiting]
                if not new:
                    raise
                waiting += new
            else:
                waiting.pop()
        return mended

    def _refuse_other_settings(self, damaged: Producer) -> None:
        if not is_current(self._settings, self._store, damaged):
            raise UserError(
                f"{damaged.path} is not of the shards and settings that {self._config} has now;"
                " repair it with the configuration that made it, or delete it, as this one does"
                " without it"
            )

    def _make(self, damaged: Producer) -> None:
        """Make what a mended file is part of, unless it exists."""
        if damaged.kind is Kind.STUDENT:
            self._start()
            from flows.stages import distil

            distil(self._config)
        elif (
            damaged.kind is Kind.REPORT
            or (damaged.kind is Kind.SHARD and damaged.stage not in CORPUS_STAGES)
            or (damaged.kind is Kind.TOTALS and not self._store.exists(damaged.path))
        ):
            self._start()
            from flows.stages import evaluate

            evaluate(self._config)
        elif damaged.kind is Kind.SHARD and damaged.key is not None:
            for stage, key in list(self._needed(damaged.stage, damaged.key)):
                self._make_shard(stage, key)

    def _needed(self, stage: str, key: ShardKey) -> Iterator[tuple[str, ShardKey]]:
        """What has to exist of a shard: `stage`, and for a planned shard the stages before it.

        One of these lacks a receipt where an earlier repair was interrupted. Of a plan, it is what
        can be planned: the part itself, or an earlier one that is missing.
        """
        state = CorpusState.open(self._settings, key.corpus)
        if stage == PLAN.name:
            yield from ((stage, one) for one in state.unplanned_splits() if one.split == key.split)
            return
        shards = state.shards_of(key.split) if stage in SHARD_STAGES else ()
        stages = next((one.stages for one in shards if one.key == key), ())
        yield from ((one, key) for one in stages if stages.index(one) < stages.index(stage))
        yield stage, key

    def _make_shard(self, stage: str, key: ShardKey) -> None:
        _, again = find_rerun(self._settings, stage, key)
        if any(map(self._store.exists, again.stale)):
            return
        self._start()
        from flows.stages import rerun

        if stage == DOWNLOAD.name:
            synthesise(self._settings, self._store)
        rerun(self._config, stage, key.corpus, key.split, key.index)

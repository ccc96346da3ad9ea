"""One flow a stage and corpus: a task for each pending shard, never more in flight than workers.

A shard that fails does not stop the others; the flow then ends as failed and names each of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

from prefect import Flow, Task, flow
from pydantic import Field

from flows.dispatch.artifacts import shown_bar
from flows.dispatch.gather import ShardsFailed, gather, gather_in_parts
from flows.dispatch.progress import Bar
from flows.server.credentials import load_run
from flows.state.corpus_state import CorpusState, ShardState
from flows.state.rerun import RerunStage, find_again
from storage.receipt import Receipt
from storage.receipts import summarise_all
from storage.shard import ShardKey
from tasks.download.parts import Part, download_place
from tasks.run import (
    ShardFailed,
    download_task,
    plan_task,
    shard_task,
    with_policy,
)
from tasks.stages import Stage


@flow(name="download", flow_run_name="download {corpus}")
def download(config: str, corpus: str) -> int:
    """Bring the files that the chosen splits need; returns how many were pending."""
    settings = load_run(config)
    brought: set[ShardKey] = set()
    state = CorpusState.open(settings, corpus)
    while (pending := state.downloads.missing()).keys() - brought:
        brought |= _bring(state, pending)
        state = CorpusState.open(settings, corpus)  # a listing that has come shows further files
    return len(brought)


def _bring(state: CorpusState, pending: Mapping[ShardKey, Part]) -> set[ShardKey]:
    bar = shown_bar(f"download {state.corpus.name}", len(pending), "files")
    work = {
        key: {
            "config": state.config,
            "part": part,
            "place": download_place(state.corpus, key),
            "on_bytes": lambda num_bytes, name=part.name: bar.say(
                f"{name} {num_bytes / 1e6:,.0f} MB"
            ),
        }
        for key, part in pending.items()
    }
    _make(state, download_task, "download", work, bar)
    return set(work)


@flow(name="plan", flow_run_name="plan {corpus}")
def plan(config: str, corpus: str) -> int:
    """Group the segments of each split into shards; returns how many splits had new files."""
    state = CorpusState.open(load_run(config), corpus)
    pending = state.unplanned_splits()
    bar = shown_bar(f"plan {corpus}", len(pending), "splits")
    work = {
        key: {
            "config": state.config,
            "place": state.place("plan", key),
            "archives": archives,
        }
        for key, archives in pending.items()
    }
    runtime = state.config.runtime
    return len(gather(with_policy(plan_task, runtime), "plan", work, runtime.workers, bar))


def _shard_flow(stage: Stage) -> Flow[[str, str], int]:
    @flow(name=stage, flow_run_name=f"{stage} {{corpus}}")
    def run(config: str, corpus: str) -> int:
        """Make the pending shards of this stage; returns how many there were."""
        state = CorpusState.open(load_run(config), corpus)
        pending = state.pending(stage)
        if stage == "filter":
            refuse_without_index(state, pending)
        bar = shown_bar(f"{stage} {corpus}", len(pending), "shards")
        work = {
            shard.key: {"config": state.config, "job": state.job(shard, stage)} for shard in pending
        }
        return _make(state, shard_task, stage, work, bar)

    return run


def _make(
    state: CorpusState,
    task: Task[..., Receipt],
    stage: str,
    work: Mapping[ShardKey, Mapping[str, Any]],
    bar: Bar,
) -> int:
    """Make shards of one stage of a corpus, and sum up their receipts; returns how many."""
    runtime = state.config.runtime
    places = [
        download_place(state.corpus, key) if stage == "download" else state.place(stage, key)
        for key in work
    ]
    folders = {place.folder for place in places}

    return gather_in_parts(
        with_policy(task, runtime),
        stage,
        work,
        runtime,
        bar,
        partial(summarise_all, state.store, folders),
    )


def refuse_without_index(state: CorpusState, pending: Sequence[ShardState]) -> None:
    """Raise `ShardsFailed` for all `pending` where half an index would decide what is learnt."""
    if pending and state.index_digest is not None and (missing := state.evaluation.missing):
        reason = (
            f"contamination asks for all speech to measure on, of which {len(missing)} shards are"
            f" missing: {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}"
        )
        raise ShardsFailed([ShardFailed("filter", shard.key, reason) for shard in pending])


normalise: Final = _shard_flow("normalise")
label: Final = _shard_flow("label")
score: Final = _shard_flow("score")
index: Final = _shard_flow("index")
filter_windows: Final = _shard_flow("filter")


@flow(name="rerun-shard", flow_run_name="rerun {stage} {corpus}/{split}/{shard:05d}")
def rerun(
    config: str,
    stage: RerunStage,
    corpus: str,
    split: Annotated[str, Field(description="of a download: archives")],
    shard: Annotated[int, Field(ge=0, description="its number: 7 for corpus/split/00007")],
) -> None:
    """Make one shard again, whether or not it is done.

    A shard is named as it is everywhere: `librispeech/train-clean-100/00007` is the corpus
    `librispeech`, the split `train-clean-100` and the shard 7; the split of a download is
    `archives`. What depends on it is redone by the next run if and only if its digest changed.
    """
    settings = load_run(config)
    state, again = find_again(settings, stage, ShardKey(corpus, split, shard))
    for path in again.stale:
        state.store.delete(path)
    task: Task[..., Receipt] = download_task if again.job is None else shard_task
    arguments: dict[str, Any] = {"config": settings}
    if again.job is None:
        arguments |= {"part": again.part, "place": again.place}
    else:
        arguments |= {"job": again.job}
    bar = shown_bar(f"{stage} {again.key}", 1, "shards")
    gather(with_policy(task, settings.runtime), stage, {again.key: arguments}, 1, bar)

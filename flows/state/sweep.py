"""What each threshold of the filter would keep, computed from the evidence of a run."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import Filter, RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.keep_rate import Share, abnormal, past_shares
from flows.state.publication import training_shards
from flows.state.shard_state import ShardState
from flows.state.status import relisted_advice
from storage.errors import UserError
from storage.receipt import FileRef
from storage.store import Store
from tasks.filter.evaluated import evaluated_speech
from tasks.filter.rules import FilterContext
from tasks.filter.sweep import Amount, columns_needed, sweep
from tasks.paper.settings import PAPER_FILTERED_PERCENT

_NUM_READERS: Final = 4
ALL: Final = "all"
"""The name of all corpora together."""

SCHEMA: Final = pa.schema(
    [
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("max_wer_percent", pa.float64(), nullable=False),
        *(
            pa.field(f"{side}_{name}", kind, nullable=False)
            for side in ("kept", "dropped")
            for name, kind in [
                ("windows", pa.int64()), ("utterances", pa.int64()), ("hours", pa.float64()),
            ]
        ),
        pa.field("kept_percent", pa.float64()),  # of the labelled hours; null: there are none
        pa.field("paper_kept_percent", pa.float64()),  # null: not in the paper's table
        pa.field("is_configured", pa.bool_(), nullable=False),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class SweepLine:
    """What one threshold keeps and drops of a corpus, or of all corpora."""

    corpus: str
    max_wer_percent: float
    kept: Amount
    dropped: Amount
    is_configured: bool

    @property
    def kept_percent(self) -> float | None:
        """The percentage of the labelled hours that is kept; None if there are none."""
        hours = self.kept.hours + self.dropped.hours
        return 100 * self.kept.hours / hours if hours else None

    @property
    def paper_kept_percent(self) -> float | None:
        """The percentage that the paper kept with this threshold; None if it does not report it."""
        filtered = PAPER_FILTERED_PERCENT.get(self.max_wer_percent)
        return None if filtered is None else round(100 - filtered, 1)

    def value(self) -> dict[str, Any]:
        """The line as a row of the Parquet file and an object of the JSON."""
        return {
            "corpus": self.corpus,
            "max_wer_percent": self.max_wer_percent,
            **{f"kept_{name}": value for name, value in asdict(self.kept).items()},
            **{f"dropped_{name}": value for name, value in asdict(self.dropped).items()},
            "kept_percent": self.kept_percent,
            "paper_kept_percent": self.paper_kept_percent,
            "is_configured": self.is_configured,
        }


@dataclass(frozen=True)
class Sweep:
    """Lines by corpus with those of `all` last, and the shards that have no evidence yet.

    `past` has the percentages of its hours that each corpus kept in earlier manifests, `fractions`
    the `filter.fraction` of each.
    """

    lines: list[SweepLine]
    waiting: list[str]
    past: Mapping[str, Sequence[float]] = field(default_factory=dict)
    advice: str = ""  # on files that have to be hashed again
    fractions: Mapping[str, float] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """Warnings about these figures."""
        shares = [
            Share(
                line.corpus,
                line.kept_percent / self.fractions.get(line.corpus, 1.0),
                line.max_wer_percent,
            )
            for line in self.lines
            if line.is_configured and line.corpus != ALL and line.kept_percent is not None
        ]
        found = abnormal(shares, self.past)
        if self.advice:
            found.append(self.advice)
        if self.waiting:
            found.append(
                f"{len(self.waiting)} shards have no evidence yet and are not counted:"
                f" {', '.join(self.waiting[:3])}{' …' if len(self.waiting) > 3 else ''}"
            )
        return found


def read_sweep(config: RunConfig, store: Store, thresholds: Sequence[float]) -> Sweep:
    """What `config` would publish with each threshold and with its own, by its evidence so far.

    Raises `UserError` if there is no evidence at all.
    """
    states = corpus_states(config, store)
    by_state = training_shards(states)
    advice = relisted_advice(states)
    own = {name: config.filter_of(name).max_wer_percent for name in config.corpora}
    percents = sorted({*thresholds, *own.values()})
    amounts: dict[str, tuple[Amount, list[Amount]]] = {}
    waiting: list[str] = []
    for state, shards in by_state.items():
        ready = [shard for shard in shards if has_evidence(shard)]
        waiting += [str(shard.key) for shard in shards if not has_evidence(shard)]
        waiting += state.unready("train")
        if shards:
            amounts[state.corpus.name] = _swept(state, ready, percents, advice)
    if not any(labelled.windows for labelled, _ in amounts.values()):
        raise UserError(
            advice or "nothing is scored yet; run `distillery run CONFIG --until score` first"
        )
    amounts[ALL] = _summed(list(amounts.values()), len(percents))
    own[ALL] = min(own.values()) if len(set(own.values())) == 1 else math.nan
    lines = [
        SweepLine(corpus, percent, kept, labelled - kept, percent == own[corpus])
        for corpus, (labelled, by_threshold) in amounts.items()
        for percent, kept in zip(percents, by_threshold, strict=True)
    ]
    fractions = {name: config.filter_of(name).fraction for name in config.corpora}
    return Sweep(lines, waiting, past_shares(config, store, states), advice, fractions)


def has_evidence(shard: ShardState) -> bool:
    """Whether a shard has everything that the filter reads."""
    return all(stage in shard.receipts for stage in shard.stages if stage != "filter")


def _swept(
    state: CorpusState, shards: Sequence[ShardState], thresholds: Sequence[float], advice: str
) -> tuple[Amount, list[Amount]]:
    """The amount of evidence on a corpus's shards, and what each threshold keeps of it."""
    if state.index_digest is not None and state.evaluation.missing:
        raise UserError(
            advice
            or "filter.contamination needs the index of all evaluation speech, and part of it is"
            " missing; run `distillery run CONFIG --until index` first"
        )
    evidence = [(one.receipts["score"].output, filter_context(state, one)) for one in shards]
    return swept_files(state.store, evidence, state.filter, thresholds)


def filter_context(state: CorpusState, shard: ShardState) -> FilterContext:
    """What the rules of a shard need besides its evidence; raises `IntegrityError` for damage.

    If it is compared with evaluation speech, all of that has to be indexed.
    """
    own = shard.receipts.get("index")
    return FilterContext(
        licence=state.corpus.licence,
        marks=state.filter.marks.of(state.name),
        evaluated=evaluated_speech(
            state.config,
            state.filter,
            () if state.index_digest is None else state.evaluation.files,
            None if own is None else own.output,
        ),
    )


def swept_files(
    store: Store,
    shards: Sequence[tuple[FileRef, FilterContext]],
    settings: Filter,
    thresholds: Sequence[float],
) -> tuple[Amount, list[Amount]]:
    """The amount of evidence in files, and what each threshold keeps of it."""

    def one(shard: tuple[FileRef, FilterContext]) -> tuple[Amount, list[Amount]]:
        file, context = shard
        with store.fetch(file) as path, pq.ParquetFile(path) as parquet:
            evidence = parquet.read(columns=columns_needed(settings, context))
        return sweep(evidence, settings, context, thresholds)

    with ThreadPoolExecutor(_NUM_READERS) as readers:
        return _summed(list(readers.map(one, shards)), len(thresholds))


def _summed(
    parts: Sequence[tuple[Amount, list[Amount]]], num_thresholds: int
) -> tuple[Amount, list[Amount]]:
    labelled = reduce(add, (labelled for labelled, _ in parts), Amount())
    kept = [
        reduce(add, (kept[number] for _, kept in parts), Amount())
        for number in range(num_thresholds)
    ]
    return labelled, kept

"""What each threshold would keep of a run, from its evidence: nothing is labelled or scored."""

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
from storage.errors import UserError
from storage.receipt import FileRef
from storage.store import Store
from tasks.filter.evaluated import evaluated_speech
from tasks.filter.rules import FilterContext
from tasks.filter.sweep import PAPER_FILTERED_PERCENT, Amount, columns_needed, sweep

_NUM_READERS: Final = 4
ALL: Final = "all"
"""Stands for all corpora together."""


LINES: Final = pa.schema(
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
        pa.field("kept_percent", pa.float64()),  # of hours; null: none were heard
        pa.field("paper_kept_percent", pa.float64()),  # null: not in the paper's table
        pa.field("is_configured", pa.bool_(), nullable=False),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """What one threshold keeps and drops of a corpus, or of `all`."""

    corpus: str
    max_wer_percent: float
    kept: Amount
    dropped: Amount
    is_configured: bool

    @property
    def kept_percent(self) -> float | None:
        """Of the hours heard; None without any."""
        hours = self.kept.hours + self.dropped.hours
        return 100 * self.kept.hours / hours if hours else None

    @property
    def paper_kept_percent(self) -> float | None:
        """What the paper kept of all its corpora with this threshold, where it says so."""
        filtered = PAPER_FILTERED_PERCENT.get(self.max_wer_percent)
        return None if filtered is None else round(100 - filtered, 1)

    def value(self) -> dict[str, Any]:
        """A row of the Parquet file, and an object of the JSON."""
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
class Swept:
    """Lines by corpus, those of `all` last; shards whose evidence is still to come.

    `past` is what each corpus kept before, in per cent of its hours.
    """

    lines: list[Line]
    waiting: list[str]
    past: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """What a person should know about these figures."""
        shares = [
            Share(line.corpus, line.kept_percent, line.max_wer_percent)
            for line in self.lines
            if line.is_configured and line.corpus != ALL and line.kept_percent is not None
        ]
        found = abnormal(shares, self.past)
        if self.waiting:
            found.append(
                f"{len(self.waiting)} shards have no evidence yet and are not counted:"
                f" {', '.join(self.waiting[:3])}{' …' if len(self.waiting) > 3 else ''}"
            )
        return found


def read_sweep(config: RunConfig, store: Store, thresholds: Sequence[float]) -> Swept:
    """What `config` would publish with each threshold and with its own, by its evidence so far.

    Raises `UserError` where there is no evidence at all.
    """
    states = corpus_states(config, store)
    by_state = training_shards(states)
    own = {name: config.filter_of(name).max_wer_percent for name in config.corpora}
    asked = sorted({*thresholds, *own.values()})
    amounts: dict[str, tuple[Amount, list[Amount]]] = {}
    waiting: list[str] = []
    for state, shards in by_state.items():
        ready = [shard for shard in shards if has_evidence(shard)]
        waiting += [str(shard.key) for shard in shards if not has_evidence(shard)]
        waiting += state.unready("train")
        if shards:
            amounts[state.corpus.name] = _swept(state, ready, asked)
    if not any(heard.windows for heard, _ in amounts.values()):
        raise UserError("nothing is scored yet; `distillery run CONFIG --until score` does that")
    amounts[ALL] = _summed(list(amounts.values()), len(asked))
    own[ALL] = min(own.values()) if len(set(own.values())) == 1 else math.nan
    lines = [
        Line(corpus, percent, kept, heard - kept, percent == own[corpus])
        for corpus, (heard, by_threshold) in amounts.items()
        for percent, kept in zip(asked, by_threshold, strict=True)
    ]
    return Swept(lines, waiting, past_shares(config, store, states))


def has_evidence(shard: ShardState) -> bool:
    """Whether all is there that the rules ask of a shard."""
    return all(stage in shard.receipts for stage in shard.stages if stage != "filter")


def _swept(
    state: CorpusState, shards: Sequence[ShardState], thresholds: Sequence[float]
) -> tuple[Amount, list[Amount]]:
    """All of the evidence on a corpus's shards, and what is kept of it with each threshold."""
    if state.index_digest is not None and state.evaluation.missing:
        raise UserError(
            "contamination asks for all speech to measure on, and some of it is not indexed yet;"
            " `distillery run CONFIG --until index` does that"
        )
    settings, licence = state.filter, state.corpus.licence
    evidence = [
        (
            shard.receipts["score"].output,
            FilterContext(
                licence=licence,
                evaluated=evaluated_speech(
                    state.config,
                    settings,
                    state.evaluation.files,
                    shard.receipts["index"].output if "index" in shard.receipts else None,
                ),
            ),
        )
        for shard in shards
    ]
    return swept_files(state.store, evidence, settings, thresholds)


def swept_files(
    store: Store,
    shards: Sequence[tuple[FileRef, FilterContext]],
    settings: Filter,
    thresholds: Sequence[float],
) -> tuple[Amount, list[Amount]]:
    """All of the evidence in files, and what is kept of it with each threshold."""

    def one(shard: tuple[FileRef, FilterContext]) -> tuple[Amount, list[Amount]]:
        file, known = shard
        # nothing is made from what is read here, so it is not hashed
        with store.fetch(file, verify=False) as path, pq.ParquetFile(path) as parquet:
            evidence = parquet.read(columns=columns_needed(settings, known))
        return sweep(evidence, settings, known, thresholds)

    with ThreadPoolExecutor(_NUM_READERS) as readers:
        return _summed(list(readers.map(one, shards)), len(thresholds))


def _summed(
    parts: Sequence[tuple[Amount, list[Amount]]], num_thresholds: int
) -> tuple[Amount, list[Amount]]:
    heard = reduce(add, (heard for heard, _ in parts), Amount())
    kept = [
        reduce(add, (kept[place] for _, kept in parts), Amount()) for place in range(num_thresholds)
    ]
    return heard, kept

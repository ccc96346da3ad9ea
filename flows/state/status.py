"""The status of a run: shards, rows and reasons for each stage, corpus and split."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.evaluation.current_report import find_report
from flows.state.evaluation.measurements import Measurement, measurements
from flows.state.models import find_student
from flows.state.publication import HolesError, content_of, find_current, training_shards
from flows.state.windows import window_fill
from storage.errors import UserError
from storage.receipt import Receipt
from storage.receipts import Failure, Split
from storage.shard import ShardKey
from storage.store import Store
from tasks.download.parts import ARCHIVES
from tasks.stages import CORPUS_STAGES, STAGE_NAMES


class ShardCounts(BaseModel):
    """How many shards are done, not done yet, and failed."""

    model_config = ConfigDict(frozen=True)

    done: int
    missing: int
    failed: int


class StageStatus(BaseModel):
    """One stage of one split; rows_in + created = rows_out + dropped + quarantined.

    `seconds` is the time that the shards took, added up; None unless each receipt states it. For
    `label`, `num_windows` is the number of windows, and `window_fill` the share of their length
    that holds audio.
    """

    model_config = ConfigDict(frozen=True)

    stage: str
    corpus: str
    split: str
    shards: ShardCounts
    rows_in: int
    created: int
    rows_out: int
    dropped: dict[str, int]
    quarantined: dict[str, int]
    hours: float
    seconds: float | None = None
    num_windows: int | None = None
    window_fill: float | None = None


class Status(BaseModel):
    """The stages of a run, and the failed shards with their reasons."""

    model_config = ConfigDict(frozen=True)

    stages: list[StageStatus]
    failures: list[Failure]

    def hours(self) -> dict[str, dict[str, float]]:
        """Corpus to the hours of speech after each stage, all its splits together."""
        found: dict[str, dict[str, float]] = {}
        for line in self.stages:
            if line.corpus != "all" and line.stage in CORPUS_STAGES[1:]:
                of_corpus = found.setdefault(line.corpus, {})
                of_corpus[line.stage] = of_corpus.get(line.stage, 0.0) + line.hours
        return found

    def window_fills(self) -> dict[str, float]:
        """Corpus to the share of the length of its windows that holds audio, where it is known."""
        hours: defaultdict[str, float] = defaultdict(float)
        window_hours: defaultdict[str, float] = defaultdict(float)
        for line in self.stages:
            if line.stage == "label" and line.window_fill:
                hours[line.corpus] += line.hours
                window_hours[line.corpus] += line.hours / line.window_fill
        return {name: hours[name] / window_hours[name] for name in hours}

    def rejected(self) -> list[tuple[str, str, str, str, int]]:
        """Corpus, stage, outcome, reason and number of rejected rows; the most frequent first."""
        counts: Counter[tuple[str, str, str, str]] = Counter()
        for line in self.stages:
            for outcome, reasons in (("dropped", line.dropped), ("quarantined", line.quarantined)):
                for reason, num_rows in reasons.items():
                    counts[line.corpus, line.stage, outcome, reason] += num_rows
        return [(*names, num_rows) for names, num_rows in counts.most_common()]


def read_status(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> Status:
    """The status according to the receipts; reads no data and imports no model."""
    found = [one for state in states for one in _corpus(state)]
    found += _models(config, store, states)
    lines = sorted((line for line, _ in found), key=lambda line: STAGE_NAMES.index(line.stage))
    return Status(stages=lines, failures=[failure for _, failed in found for failure in failed])


def is_pending(
    settings: RunConfig, store: Store, until: str, states: Sequence[CorpusState]
) -> bool:
    """Whether anything up to the stage `until` is not done."""
    wanted = STAGE_NAMES[: STAGE_NAMES.index(until) + 1]
    lines = read_status(settings, store, states).stages
    if any(line.shards.missing or line.shards.failed for line in lines if line.stage in wanted):
        return True
    if until != STAGE_NAMES[-1]:
        return False
    published = find_current(settings, store, states)
    return find_report(settings, store, states, published) is None


_Line = tuple[StageStatus, list[Failure]]


def _corpus(state: CorpusState) -> Iterator[_Line]:
    name = state.corpus.name
    downloads = state.downloads
    downloaded = Split(tuple(downloads.receipts.values()), downloads.failures)
    yield _line("download", name, ARCHIVES, downloads.parts, downloaded)
    pending = state.unplanned_splits()
    for split in state.splits():
        parts = Split(state.plan(split).parts, state.split("plan", split).failures)
        planned = {receipt.key for receipt in parts.receipts}
        planned |= {key for key in pending if key.split == split}
        yield _line("plan", name, split, planned or {ShardKey(name, split, 0)}, parts)
    for split in state.splits():
        shards = state.shards_of(split)
        for stage in state.stages(split):
            receipts = tuple(shard.receipts[stage] for shard in shards if stage in shard.receipts)
            done = Split(receipts, state.split(stage, split).failures)
            yield _line(stage, name, split, {shard.key for shard in shards}, done)


def _models(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> Iterator[_Line]:
    """The stages after all corpora: the manifest, the student, and both models' evaluation."""
    name = config.publish.name
    content = content_of(config, training_shards(states))
    published = find_current(config, store, states)
    try:
        student = find_student(config, store, states, published) if published else None
    except HolesError:
        student = None
    utterances = sum(entry.num_utterances for entry in content.entries) if published else 0
    hours = sum(entry.hours for entry in content.entries) if published else 0.0
    yield (
        StageStatus(
            stage="publish",
            corpus="all",
            split=name,
            shards=ShardCounts(
                done=int(published is not None), missing=int(not published), failed=0
            ),
            rows_in=utterances,
            created=0,
            rows_out=utterances,
            dropped={},
            quarantined={},
            hours=hours,
        ),
        [],
    )
    yield _summed("distil", "all", name, [student] if student else [], 1, 0), []
    if student is None:
        yield _summed("evaluate", "all", config.evaluate.split_role, [], 1, 0), []
        return
    try:
        found = measurements(config, store, states, student)
    except (HolesError, UserError):  # of held-out speech, or of the student of another run
        yield _summed("evaluate", "all", config.evaluate.split_role, [], 1, 0), []
        return
    lines: dict[tuple[str, str], list[Measurement]] = {}
    for one in found:
        what = f"{one.key.split}:{one.model.name}{_suffix(one)}"
        lines.setdefault((one.key.corpus, what), []).append(one)
    for (corpus, what), of_line in sorted(lines.items()):
        receipts = [one.receipt for one in of_line if one.receipt is not None]
        failures = [one.failure for one in of_line if one.failure is not None]
        yield _summed("evaluate", corpus, what, receipts, len(of_line), len(failures)), failures


def _suffix(one: Measurement) -> str:
    """All ratios of a kind of noise together, since they would fill the screen."""
    if one.condition.noise is not None:
        return f":{one.condition.noise.kind}"
    return f":{one.condition.algorithm}" if one.condition.algorithm else ""


def _line(stage: str, corpus: str, split: str, wanted: Collection[ShardKey], found: Split) -> _Line:
    receipts = [receipt for receipt in found.receipts if receipt.key in wanted]
    done = {receipt.key for receipt in receipts}
    failures = [f for f in found.failures if f.key in wanted and f.key not in done]
    line = _summed(stage, corpus, split, receipts, len(wanted), len(failures))
    return line, failures


def _summed(
    stage: str,
    corpus: str,
    split: str,
    receipts: Collection[Receipt],
    num_wanted: int,
    num_failed: int,
) -> StageStatus:
    dropped, quarantined = Counter[str](), Counter[str]()
    for receipt in receipts:
        dropped.update(receipt.counts.dropped)
        quarantined.update(receipt.counts.quarantined)
    return StageStatus(
        stage=stage,
        corpus=corpus,
        split=split,
        shards=ShardCounts(
            done=len(receipts), missing=num_wanted - len(receipts) - num_failed, failed=num_failed
        ),
        rows_in=sum(receipt.counts.rows_in for receipt in receipts),
        created=sum(receipt.counts.created for receipt in receipts),
        rows_out=sum(receipt.counts.rows_out for receipt in receipts),
        dropped=dict(sorted(dropped.items())),
        quarantined=dict(sorted(quarantined.items())),
        hours=sum(receipt.hours for receipt in receipts),
        seconds=_seconds(receipts),
        num_windows=sum(one.output.num_rows for one in receipts) if stage == "label" else None,
        window_fill=window_fill(receipts) if stage == "label" else None,
    )


def _seconds(receipts: Collection[Receipt]) -> float | None:
    """The time of all receipts; None unless each states its own."""
    stated = [receipt.recorded.get("seconds") for receipt in receipts]
    numbers = [one for one in stated if isinstance(one, int | float)]
    return sum(numbers) if numbers and len(numbers) == len(stated) else None


def relisted_advice(states: Iterable[CorpusState]) -> str:
    """Which deliveries have to be hashed again and how, as one line; "" if there are none.

    Until then it is not known whether their files are still the same, so what depends on all files
    of a run counts as not done.
    """
    names = [state.name for state in states if state.downloads.relisted]
    if not names:
        return ""
    return (
        f"the files of {', '.join(names)} were copied or changed since they were hashed;"
        " `distillery run CONFIG --until download` hashes them again, and keeps what is made from"
        " files that are the same"
    )

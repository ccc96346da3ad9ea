"""The difference between two manifests: hours and rows gained and lost, and the causes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self

from storage.manifest import Content, Manifest, ManifestEntry
from storage.record import Record
from storage.shard import ShardKey

_CODE: Final = (".version", ".read_version", ".clean_version", ".normaliser_version")
"""Parameters that are raised when the code behind them changes its result."""


class Amount(Record):
    """An amount of training data."""

    shards: int = 0
    windows: int = 0
    utterances: int = 0
    hours: float = 0.0

    @classmethod
    def of(cls, entry: ManifestEntry | None) -> Self:
        """The amount in one shard; zero for None."""
        if entry is None:
            return cls()
        return cls(
            shards=1,
            windows=entry.num_windows,
            utterances=entry.num_utterances,
            hours=entry.hours,
        )

    @classmethod
    def sum(cls, amounts: Iterable["Amount"]) -> Self:
        """The sum of amounts."""
        found = list(amounts)
        return cls(**{name: sum(getattr(one, name) for one in found) for name in cls.model_fields})

    def beyond(self, other: "Amount") -> Self:
        """By how much each figure exceeds the other's; zero where it is smaller."""
        more = {name: max(0, getattr(self, name) - getattr(other, name)) for name in self._names()}
        return self.model_copy(update=more)

    def _names(self) -> Sequence[str]:
        return tuple(type(self).model_fields)


class SplitChange(Record):
    """A split of a corpus in both manifests; `came` and `went` are net per shard."""

    corpus: str
    split: str
    before: Amount
    came: Amount
    went: Amount
    after: Amount


class Cause(Record):
    """A changed setting, corpus or version that explains a difference.

    `what` is a dotted name such as `filter.max_wer_percent`. A `library` version is provenance and
    does not change the content by itself. `repeat`: a stage gave another result for the same input,
    in `after` shards.
    """

    kind: Literal["corpus", "parameter", "code", "repeat", "missing", "library"]
    what: str
    before: Any = None
    after: Any = None
    corpora: tuple[str, ...] = ()


class ShardChange(Record):
    """A shard in both manifests whose files differ; `stages` wrote the differing files."""

    key: ShardKey
    stages: tuple[str, ...]
    before: Amount
    after: Amount


class Difference(Record):
    """The difference between two manifests of one name."""

    name: str
    before: int
    after: int
    digests: tuple[str, str]
    splits: tuple[SplitChange, ...]
    causes: tuple[Cause, ...]
    left_out: Mapping[str, Mapping[str, int]]  # corpus -> reason -> additional rejected rows
    only_before: tuple[ShardKey, ...]
    only_after: tuple[ShardKey, ...]
    changed: tuple[ShardChange, ...]


def difference(before: Manifest, after: Manifest) -> Difference:
    """What was gained and lost between two manifests, and why."""
    old = {entry.key: entry for entry in before.content.entries}
    new = {entry.key: entry for entry in after.content.entries}
    changed = tuple(_changed(old, new))
    causes = [
        *_corpora(before.content, after.content),
        *_parameters(before.content, after.content),
        *_repeats(before.content, after.content, changed),
        *_missing(before.content, after.content),
        *_libraries(before.versions, after.versions),
    ]
    return Difference(
        name=after.name,
        before=before.number,
        after=after.number,
        digests=(before.digest, after.digest),
        splits=tuple(_splits(old, new)),
        causes=tuple(_joined(causes)),
        left_out=_left_out(before, after),
        only_before=tuple(sorted(old.keys() - new.keys())),
        only_after=tuple(sorted(new.keys() - old.keys())),
        changed=changed,
    )


_Entries = Mapping[ShardKey, ManifestEntry]


def _changed(old: _Entries, new: _Entries) -> Iterator[ShardChange]:
    for key in sorted(old.keys() & new.keys()):
        files = old[key].files
        others = {stage for stage, file in new[key].files.items() if file != files.get(stage)}
        if others:
            yield ShardChange(
                key=key,
                stages=tuple(stage for stage in files if stage in others),
                before=Amount.of(old[key]),
                after=Amount.of(new[key]),
            )


def _splits(old: _Entries, new: _Entries) -> Iterator[SplitChange]:
    keys = [*old, *(key for key in new if key not in old)]
    for corpus, split in dict.fromkeys((key.corpus, key.split) for key in keys):
        here = [key for key in keys if (key.corpus, key.split) == (corpus, split)]
        pairs = [(Amount.of(old.get(key)), Amount.of(new.get(key))) for key in here]
        yield SplitChange(
            corpus=corpus,
            split=split,
            before=Amount.sum(one for one, _ in pairs),
            came=Amount.sum(other.beyond(one) for one, other in pairs),
            went=Amount.sum(one.beyond(other) for one, other in pairs),
            after=Amount.sum(other for _, other in pairs),
        )


def _corpora(old: Content, new: Content) -> Iterator[Cause]:
    for corpus in sorted(old.parameters.keys() ^ new.parameters.keys()):
        is_new = corpus in new.parameters
        yield Cause(kind="corpus", what="added" if is_new else "removed", corpora=(corpus,))


def _parameters(old: Content, new: Content) -> Iterator[Cause]:
    for corpus in _common(old, new):
        one, other = old.settings(corpus), new.settings(corpus)
        for name in dict.fromkeys([*one, *other]):
            if one.get(name) != other.get(name):
                yield Cause(
                    kind=_kind(name),
                    what=name.replace(".version", " version"),
                    before=one.get(name),
                    after=other.get(name),
                    corpora=(corpus,),
                )


def _kind(name: str) -> Literal["corpus", "parameter", "code"]:
    if name == "plan.revision":
        return "corpus"
    return "code" if name.endswith(_CODE) else "parameter"


def _repeats(old: Content, new: Content, changed: Sequence[ShardChange]) -> Iterator[Cause]:
    counts: Counter[tuple[str, str]] = Counter()
    for shard in changed:
        stage, corpus = shard.stages[0], shard.key.corpus
        if _fingerprint(old, stage, corpus) == _fingerprint(new, stage, corpus):
            counts[stage, corpus] += 1
    for (stage, corpus), num_shards in sorted(counts.items()):
        yield Cause(kind="repeat", what=f"{stage} again", after=num_shards, corpora=(corpus,))


def _missing(old: Content, new: Content) -> Iterator[Cause]:
    one, other = len(old.missing_shards), len(new.missing_shards)
    if set(old.missing_shards) != set(new.missing_shards):
        yield Cause(kind="missing", what="missing shards", before=one, after=other)


def _libraries(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Cause]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield Cause(kind="library", what=name, before=old.get(name), after=new.get(name))


def _joined(causes: Iterable[Cause]) -> Iterator[Cause]:
    """Join equal changes in several corpora to one."""
    found: dict[str, list[Cause]] = {}
    for cause in causes:
        same = cause.model_copy(update={"corpora": ()}).model_dump_json()
        found.setdefault(same, []).append(cause)
    for group in found.values():
        corpora = tuple(corpus for cause in group for corpus in cause.corpora)
        yield group[0].model_copy(update={"corpora": corpora})


def _left_out(old: Manifest, new: Manifest) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for corpus in dict.fromkeys([*old.totals, *new.totals]):
        one, other = _reasons(old, corpus), _reasons(new, corpus)
        deltas = {reason: other[reason] - one[reason] for reason in sorted({*one, *other})}
        found[corpus] = {reason: delta for reason, delta in deltas.items() if delta}
    return {corpus: deltas for corpus, deltas in found.items() if deltas}


def _reasons(manifest: Manifest, corpus: str) -> Counter[str]:
    totals = manifest.totals.get(corpus)
    return Counter() if totals is None else Counter({**totals.dropped, **totals.quarantined})


def _common(old: Content, new: Content) -> list[str]:
    return [corpus for corpus in new.parameters if corpus in old.parameters]


def _fingerprint(content: Content, stage: str, corpus: str) -> str | None:
    return content.fingerprints.get(stage, {}).get(corpus)

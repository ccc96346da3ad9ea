"""Publishing a manifest of the complete shards; missing shards are refused unless allowed."""

import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from configs.schema import RunConfig
from configs.version import installed_version
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.shard_state import ShardState
from storage import manifest
from storage.card import sealed_card
from storage.errors import DistilleryError, IntegrityError, UserError
from storage.manifest import Content, Manifest, ManifestEntry, Terms, Totals
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.card import render_card
from tasks.stages import parameters, shard_stages

_LIBRARIES: Final = (
    "torch",
    "transformers",
    "tokenizers",
    "pyarrow",
    "soundfile",
    "soxr",
    "jiwer",
    "whisper-normalizer",
    "prefect",
)


_STATED: Final = re.compile(r'(?:"digest": ?"|digest `)([0-9a-f]{64})["`]')
_PUBLISHED_AT: Final = re.compile(r"^Published (\S+), digest `", re.MULTILINE)


class HolesError(DistilleryError):
    """Planned shards are not complete, so that a manifest would be incomplete."""


def publish_manifest(config: RunConfig, store: Store) -> tuple[Manifest, bool]:
    """Publish all complete shards; returns their manifest and whether it is new.

    Raises `HolesError` naming the missing shards, or when nothing at all is planned.
    """
    by_state = training_shards(corpus_states(config, store))
    content = content_of(config, by_state)
    missing = content.missing_shards
    if not content.entries and not missing:
        raise HolesError("not published: no training shard is planned, so there is nothing in it")
    if missing and not config.publish.allow_missing_shards:
        num_planned = len(content.entries) + len(missing)
        raise HolesError(
            f"not published: {len(missing)} of {num_planned} shards are missing:"
            f" {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''};"
            " rerun them, or set publish.allow_missing_shards"
        )
    return manifest.publish(
        store,
        content,
        published_at=_now(),
        versions=library_versions(),
        licences=_licences(by_state),
        totals=_totals(by_state),
        render_card=render_card,
    )


def restore_manifest(config: RunConfig, store: Store, path: str, key: ShardKey) -> None:
    """Recreate the damaged manifest at `path`, if the shards are still those that it lists.

    They are if their digest is stated by what is left of it, by its card or by its student. `key`
    is `all/NAME/NUMBER`. Raises `UserError` if not: then it must be restored from a backup.
    """
    name, number = key.split, key.index
    by_state = training_shards(corpus_states(config, store))
    content = content_of(config, by_state)
    card = _text(store, manifest.card_path(name, number))
    stated = {*_STATED.findall(_text(store, path)), *_STATED.findall(card), *_trained(store, key)}
    if name != config.publish.name or content.digest() not in stated:
        raise UserError(
            f"{path} is damaged and cannot be recreated: the shards of this configuration are not"
            " known to be those that it listed; restore it from a backup"
        )
    published_at = _PUBLISHED_AT.search(card)
    restored = Manifest(
        number=number,
        parent=max((one for one in manifest.numbers(store, name) if one < number), default=None),
        digest=content.digest(),
        published_at=published_at[1] if published_at else _now(),
        root=store.root,
        versions=library_versions(),
        licences=_licences(by_state),
        totals=_totals(by_state),
        content=content,
    )
    store.delete(path)
    store.put_if_absent(path, restored.encode())
    restore_card(store, name, number)


def restore_card(store: Store, name: str, number: int) -> None:
    """Render the card of a manifest again."""
    path = manifest.card_path(name, number)
    text = sealed_card(render_card(manifest.load(store, name, number)))
    store.delete(path)
    store.put_if_absent(path, text)


def _trained(store: Store, key: ShardKey) -> Iterator[str]:
    """The digest of a manifest according to the receipts of its students."""
    for path in store.list("distil"):
        if path.endswith("/student.receipt.json"):
            try:
                receipt = Receipt.parse(store.read(path), path)
            except (IntegrityError, FileNotFoundError):
                continue
            if receipt.key == key:
                yield receipt.source_digest


def _text(store: Store, path: str) -> str:
    try:
        return store.read(path).decode(errors="replace")
    except FileNotFoundError:
        return ""


def find_current(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> Manifest | None:
    """The newest manifest if it describes the current shards, else None."""
    if not manifest.numbers(store, config.publish.name):
        return None
    newest = manifest.load(store, config.publish.name)
    content = content_of(config, training_shards(states))
    return newest if newest.digest == content.digest() else None


def training_shards(states: Sequence[CorpusState]) -> dict[CorpusState, list[ShardState]]:
    """The planned training shards of each corpus."""
    return {state: state.shards("train") for state in states}


def content_of(config: RunConfig, by_state: Mapping[CorpusState, list[ShardState]]) -> Content:
    """The content of a manifest of the complete shards, and the shards that are missing."""
    shards = [shard for found in by_state.values() for shard in found]
    unready = [name for state in by_state for name in state.unready("train")]
    waiting = [f"{shard.next_stage} {shard.key}" for shard in shards if not shard.is_complete]
    return Content(
        name=config.publish.name,
        entries=tuple(_entry(shard) for shard in shards if shard.is_complete),
        fingerprints=_fingerprints(by_state),
        parameters={state.corpus.name: _parameters(config, state) for state in by_state},
        missing_shards=tuple(unready + waiting),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _licences(by_state: Iterable[CorpusState]) -> dict[str, Terms]:
    return {state.corpus.name: Terms(**asdict(state.corpus.licence)) for state in by_state}


def library_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that affect results."""
    found = {"python": platform.python_version(), "distillery": installed_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _entry(shard: ShardState) -> ManifestEntry:
    kept = shard.receipts["filter"]
    return ManifestEntry(
        key=shard.key,
        files={stage: receipt.output for stage, receipt in shard.receipts.items()},
        num_windows=kept.output.num_rows,
        num_utterances=kept.counts.rows_out,
        hours=kept.hours,
    )


def _fingerprints(by_state: Iterable[CorpusState]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for state in by_state:
        for stage in ("plan", *shard_stages(state.config, state.name, "train")):
            found.setdefault(stage, {})[state.name] = state.fingerprints[stage]
    return found


def _parameters(config: RunConfig, state: CorpusState) -> dict[str, Any]:
    """What is needed to reproduce a corpus; neither URLs nor paths."""
    return {
        "splits": list(state.splits("train")),
        "limit_hours": state.settings.limit_hours,
        **parameters(config, state.corpus, state.index_digest),
    }


def _totals(by_state: Mapping[CorpusState, list[ShardState]]) -> dict[str, Totals]:
    plans = {
        state: [part for split in state.splits("train") for part in state.plan_receipts(split)]
        for state in by_state
    }
    totals = {state.corpus.name: _total(plans[state], by_state[state]) for state in by_state}
    everything = [shard for shards in by_state.values() for shard in shards]
    totals["all"] = _total([part for parts in plans.values() for part in parts], everything)
    return totals


def _total(plans: Sequence[Receipt], shards: Sequence[ShardState]) -> Totals:
    dropped, quarantined = Counter[str](), Counter[str]()
    for receipt in [*plans, *(one for shard in shards for one in shard.receipts.values())]:
        dropped.update(receipt.counts.dropped)
        quarantined.update(receipt.counts.quarantined)
    complete = [shard.receipts for shard in shards if shard.is_complete]
    return Totals(
        shards=len(complete),
        hours_heard=sum(receipts["label"].hours for receipts in complete),
        windows_heard=sum(receipts["label"].output.num_rows for receipts in complete),
        windows=sum(receipts["filter"].output.num_rows for receipts in complete),
        utterances=sum(receipts["filter"].counts.rows_out for receipts in complete),
        hours=sum(receipts["filter"].hours for receipts in complete),
        dropped=dict(sorted(dropped.items())),
        quarantined=dict(sorted(quarantined.items())),
    )

"""What a manifest of the complete shards holds; a hole is refused unless it is allowed."""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from configs.schema import RunConfig
from flows.chain import Chain, Link, chains
from storage import manifest
from storage.errors import DistilleryError
from storage.manifest import Content, Manifest, ManifestEntry, Terms, Totals
from storage.receipt import Receipt
from storage.store import Store
from tasks.stages import parameters

_LIBRARIES: Final = (
    "distillery",
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


class HolesError(DistilleryError):
    """Planned shards are not done, so that a manifest would not hold what it says."""


def publish_manifest(config: RunConfig, store: Store) -> tuple[Manifest, bool]:
    """Publish all complete shards; returns their manifest and whether it is new.

    Raises `HolesError` naming the missing shards, or when nothing at all is planned.
    """
    by_chain = training_links(chains(config, store))
    content = content_of(config, by_chain)
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
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=library_versions(),
        licences={chain.corpus.name: Terms(**asdict(chain.corpus.licence)) for chain in by_chain},
        totals=_totals(by_chain),
    )


def find_current(config: RunConfig, store: Store, all_chains: Sequence[Chain]) -> Manifest | None:
    """The newest manifest if it is of the shards as they are now, else None."""
    if not manifest.numbers(store, config.publish.name):
        return None
    newest = manifest.load(store, config.publish.name)
    content = content_of(config, training_links(all_chains))
    return newest if newest.digest == content.digest() else None


def training_links(all_chains: Sequence[Chain]) -> dict[Chain, list[Link]]:
    """The planned training shards of each corpus."""
    return {chain: chain.links("train") for chain in all_chains}


def content_of(config: RunConfig, by_chain: Mapping[Chain, list[Link]]) -> Content:
    """What a manifest of the complete shards holds, and what it lacks."""
    links = [link for found in by_chain.values() for link in found]
    unready = [name for chain in by_chain for name in chain.unready("train")]
    waiting = [f"{link.next_stage} {link.key}" for link in links if not link.is_complete]
    return Content(
        name=config.publish.name,
        entries=tuple(_entry(link) for link in links if link.is_complete),
        fingerprints=_fingerprints(by_chain),
        parameters={chain.corpus.name: _parameters(config, chain) for chain in by_chain},
        missing_shards=tuple(unready + waiting),
    )


def library_versions() -> dict[str, str]:
    """The versions of what made a result."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _entry(link: Link) -> ManifestEntry:
    kept = link.receipts["filter"]
    return ManifestEntry(
        key=link.key,
        audio=link.receipts["normalise"].output,
        label=link.receipts["label"].output,
        evidence=link.receipts["score"].output,
        kept=kept.output,
        num_windows=kept.output.num_rows,
        num_utterances=kept.counts.rows_out,
        hours=kept.hours,
    )


def _fingerprints(by_chain: Iterable[Chain]) -> dict[str, dict[str, str]]:
    stages = ("plan", *manifest.STAGES)
    return {
        stage: {chain.corpus.name: chain.fingerprints[stage] for chain in by_chain}
        for stage in stages
    }


def _parameters(config: RunConfig, chain: Chain) -> dict[str, Any]:
    """What is needed to make the same of a corpus again; neither URLs nor paths."""
    return {
        "splits": list(chain.splits("train")),
        "limit_hours": chain.settings.limit_hours,
        **parameters(config, chain.corpus, chain.index_digest),
    }


def _totals(by_chain: Mapping[Chain, list[Link]]) -> dict[str, Totals]:
    plans = {
        chain: [part for split in chain.splits("train") for part in chain.plan_receipts(split)]
        for chain in by_chain
    }
    totals = {chain.corpus.name: _total(plans[chain], by_chain[chain]) for chain in by_chain}
    everything = [link for links in by_chain.values() for link in links]
    totals["all"] = _total([part for parts in plans.values() for part in parts], everything)
    return totals


def _total(plans: Sequence[Receipt], links: Sequence[Link]) -> Totals:
    dropped, quarantined = Counter[str](), Counter[str]()
    for receipt in [*plans, *(one for link in links for one in link.receipts.values())]:
        dropped.update(receipt.counts.dropped)
        quarantined.update(receipt.counts.quarantined)
    complete = [link.receipts for link in links if link.is_complete]
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

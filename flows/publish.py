"""From complete shards to a manifest; a hole is refused unless the configuration allows it."""

import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from prefect import flow

from configs.load import load_config
from configs.schema import RunConfig
from flows.chain import Chain, Link, chains
from storage import manifest
from storage.errors import DistilleryError, UserError
from storage.manifest import Content, Manifest, ManifestEntry, Totals
from storage.store import Store
from tasks.label.identity import teacher_identity
from tasks.stages import SHARD_STAGES

_LIBRARIES: Final = (
    "distillery",
    "torch",
    "transformers",
    "tokenizers",
    "pyarrow",
    "soundfile",
    "soxr",
    "jiwer",
    "prefect",
)


class HolesError(DistilleryError):
    """Planned shards are not done, so that a manifest would not hold what it says."""


@flow(name="publish", flow_run_name="publish")
def publish(config: str) -> str:
    """Publish the manifest of a configuration; returns its name and number.

    Raises `HolesError` naming the missing shards, `UserError` when nothing at all is planned.
    """
    settings = load_config(config)
    store = Store(settings.root, settings.runtime.scratch)
    published, _ = publish_manifest(settings, store)
    return f"{published.name}/{published.number}"


def publish_manifest(config: RunConfig, store: Store) -> tuple[Manifest, bool]:
    """The manifest of all complete shards, and whether it is new."""
    by_chain = {chain: chain.links("train") for chain in chains(config, store)}
    links = [link for found in by_chain.values() for link in found]
    missing = tuple(f"{link.next_stage} {link.key}" for link in links if not link.is_complete)
    if not links:
        raise UserError("no training shard is planned, so there is nothing to publish")
    if missing and not config.publish.allow_missing_shards:
        raise HolesError(
            f"not published: {len(missing)} of {len(links)} planned shards are missing:"
            f" {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''};"
            " rerun them, or set publish.allow_missing_shards"
        )
    content = Content(
        name=config.publish.name,
        entries=tuple(_entry(link) for link in links if link.is_complete),
        fingerprints=_fingerprints(by_chain),
        parameters=_parameters(config, list(by_chain)),
        missing_shards=missing,
    )
    return manifest.publish(
        store,
        content,
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=library_versions(),
        licences={chain.corpus.name: chain.corpus.licence.name for chain in by_chain},
        totals=_totals({chain.corpus.name: found for chain, found in by_chain.items()}),
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


def _fingerprints(by_chain: dict[Chain, list[Link]]) -> dict[str, dict[str, str]]:
    stages = ("plan", *SHARD_STAGES)
    return {
        stage: {chain.corpus.name: chain.fingerprints[stage] for chain in by_chain}
        for stage in stages
    }


def _parameters(config: RunConfig, found: Sequence[Chain]) -> dict[str, Any]:
    """What is needed to make the same again; neither URLs nor paths."""
    return {
        "corpora": {
            chain.corpus.name: {
                "revision": chain.corpus.revision,
                "splits": list(chain.splits("train")),
                "limit_hours": chain.settings.limit_hours,
            }
            for chain in found
        },
        "plan": config.plan.model_dump(mode="json"),
        "normalise": config.normalise.model_dump(mode="json"),
        "label": {
            **config.label.model_dump(mode="json", exclude={"teacher"}),
            "teacher": teacher_identity(config.label.teacher),
        },
        "score": config.score.model_dump(mode="json"),
        "filter": config.filter.model_dump(mode="json"),
    }


def _totals(by_corpus: dict[str, list[Link]]) -> dict[str, Totals]:
    everything = [link for links in by_corpus.values() for link in links]
    return {name: _total(links) for name, links in [*by_corpus.items(), ("all", everything)]}


def _total(links: Sequence[Link]) -> Totals:
    dropped, quarantined = Counter[str](), Counter[str]()
    for link in links:
        for receipt in link.receipts.values():
            dropped.update(receipt.counts.dropped)
            quarantined.update(receipt.counts.quarantined)
    kept = [link.receipts["filter"] for link in links if link.is_complete]
    return Totals(
        shards=len(kept),
        windows=sum(receipt.output.num_rows for receipt in kept),
        utterances=sum(receipt.counts.rows_out for receipt in kept),
        hours=sum(receipt.hours for receipt in kept),
        dropped=dict(sorted(dropped.items())),
        quarantined=dict(sorted(quarantined.items())),
    )

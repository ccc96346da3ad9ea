"""Recreating a damaged manifest or card of a manifest, under its number."""

import re
from collections.abc import Iterator
from typing import Final

from configs.schema import RunConfig
from flows.state.corpus_state import corpus_states
from flows.state.publication import manifest_of
from storage import manifest
from storage.errors import IntegrityError, UserError
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.card import render_card

_STATED: Final = re.compile(r'(?:"digest": ?"|digest `)([0-9a-f]{64})["`]')
_PUBLISHED_AT: Final = re.compile(r"^Published (\S+), digest `", re.MULTILINE)


def restore_manifest(config: RunConfig, store: Store, path: str, key: ShardKey) -> None:
    """Recreate the damaged manifest at `path`, if the shards are still those that it lists.

    They are if their digest is stated by what is left of it, by its card or by its student. `key`
    is `all/NAME/NUMBER`. Raises `UserError` if not: then it must be restored from a backup.
    """
    name, number = key.split, key.index
    card = _text(store, manifest.card_path(name, number))
    published_at = _PUBLISHED_AT.search(card)
    made = manifest_of(
        config,
        store,
        corpus_states(config, store),
        number=number,
        parent=max((one for one in manifest.numbers(store, name) if one < number), default=None),
        published_at=published_at[1] if published_at else None,
    )
    stated = {*_STATED.findall(_text(store, path)), *_STATED.findall(card), *_trained(store, key)}
    if name != config.publish.name or made.digest not in stated:
        raise UserError(
            f"{path} is damaged and cannot be recreated: the shards of this configuration are not"
            " known to be those that it listed; restore it from a backup"
        )
    store.delete(path)
    store.put_if_absent(path, made.model_dump_json(indent=1).encode())
    restore_card(store, name, number)


def restore_card(store: Store, name: str, number: int) -> None:
    """Render the card of a manifest again."""
    path = manifest.card_path(name, number)
    text = render_card(manifest.load(store, name, number)).encode()
    store.delete(path)
    store.put_if_absent(path, text)


def _trained(store: Store, key: ShardKey) -> Iterator[str]:
    """The digest of the manifest according to the receipts of its students."""
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

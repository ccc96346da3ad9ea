"""The downloads that a planned shard was made from."""

from collections import OrderedDict
from typing import Final

from storage.errors import IntegrityError
from storage.receipt import FileRef, Receipt
from storage.receipts import Split
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.base import Corpus
from tasks.download.parts import ARCHIVES, download_place

_NUM_KEPT: Final = 8
_KEPT: Final[OrderedDict[tuple[str, str, str], tuple[Receipt, ...]]] = OrderedDict()
"""By root and part of a plan, so that a process lists thousands of receipts once, not per shard."""


def downloads_of_shard(
    store: Store, corpus: Corpus, plan: FileRef, planned_digest: str
) -> tuple[Receipt, ...]:
    """The receipts of all downloads of a corpus; those come last that a planned shard is made from.

    So a file of a delivery is checked against the digest that the plan knew, also after the
    delivery has changed. Raises `IntegrityError` if no receipt names the shard in the file `plan`.
    """
    folder = plan.path.rpartition("/")[0]
    for part in Split.load(store, folder).receipts:
        if any(shard.digest == planned_digest for shard in part.planned):
            break
    else:
        raise IntegrityError(f"{plan.path} is a plan that no receipt names", plan.path)
    name = (store.root, folder, part.source_digest)
    found = _KEPT.get(name)
    if found is None:
        found = _KEPT[name] = _read(store, corpus, part)
        while len(_KEPT) > _NUM_KEPT:
            _KEPT.popitem(last=False)
    return found


def _read(store: Store, corpus: Corpus, part: Receipt) -> tuple[Receipt, ...]:
    place = download_place(corpus, ShardKey(corpus.name, ARCHIVES, 0))
    sources = set(part.sources)
    downloads = Split.load(store, place.folder).receipts
    return tuple(sorted(downloads, key=lambda one: (one.output.sha256 in sources, one.finished_at)))

"""The downloads that a plan was made from."""

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
_KEPT: Final[OrderedDict[tuple[str, FileRef], tuple[Receipt, ...]]] = OrderedDict()
"""By root and plan, so that a process lists thousands of receipts once, not for each shard."""


def downloads_of_plan(store: Store, corpus: Corpus, plan: FileRef) -> tuple[Receipt, ...]:
    """The receipts of all downloads of a corpus; those come last that `plan` was made from.

    So a file of a delivery is checked against the digest that the plan knew, also after the
    delivery has changed. Raises `IntegrityError` if no receipt names the plan.
    """
    if (found := _KEPT.get((store.root, plan))) is None:
        found = _read(store, corpus, plan)
        _KEPT[store.root, plan] = found
        while len(_KEPT) > _NUM_KEPT:
            _KEPT.popitem(last=False)
    return found


def _read(store: Store, corpus: Corpus, plan: FileRef) -> tuple[Receipt, ...]:
    parts = Split.load(store, plan.path.rpartition("/")[0]).receipts
    part = next((part for part in parts if part.output.path == plan.path), None)
    if part is None:
        raise IntegrityError(f"{plan.path} is a plan that no receipt names", plan.path)
    place = download_place(corpus, ShardKey(corpus.name, ARCHIVES, 0))
    sources = set(part.sources)
    downloads = Split.load(store, place.folder).receipts
    return tuple(sorted(downloads, key=lambda one: (one.output.sha256 in sources, one.finished_at)))

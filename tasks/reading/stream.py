"""A manifest for any training code: an iterable of decoded examples that a `DataLoader` takes."""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from storage.errors import UserError
from storage.manifest import ManifestEntry, load
from storage.store import Store
from tasks.read_ahead import read_ahead
from tasks.reading.examples import Example, ExampleSource
from tasks.reading.reader import NUM_BUFFERED, NUM_OPEN
from tasks.reading.reading import Reading
from tasks.reading.sample import Sample
from tasks.reading.share import Consumer, Uneven, consumed_by_workers

if TYPE_CHECKING:
    from datasets import IterableDataset as HubIterableDataset

_MANIFEST_URL: Final = re.compile(
    r"^(?P<root>.*)/manifests/(?P<name>[^/]+)(/(?P<number>\d+)\.json)?$"
)
_NUM_AHEAD: Final = 8
"""Decoded windows that wait for each thread; 2 MB for one of 30 s."""

State = Mapping[str, Any]


def open_manifest(
    root: str,
    name: str | None = None,
    number: int | None = None,
    *,
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    uneven: Uneven = "keep",
    num_epochs: int | None = None,
    num_threads: int = 2,
    num_open: int = NUM_OPEN,
    num_buffered: int = NUM_BUFFERED,
    scratch: str | None = None,
) -> "ManifestStream":
    """The stream of examples of a published manifest, the newest one unless `number` is given.

    `root` is a folder or a URL such as s3://bucket/prefix; with `/manifests/NAME` or
    `/manifests/NAME/00003.json` at its end it says name and number too. Files of a remote root are
    copied to `scratch`, checked, and removed: those of at most `num_open` shards and one at a time.
    Rank and world size are those of `torch.distributed` where it runs, else 0 of 1.

    Corpora come as often as their size makes them, or by `weights`, which leave out whom they do
    not name and make a stream without end. In each epoch every example comes once over all ranks
    and workers; `uneven` says what becomes of a rest. Without `num_epochs` epochs follow each
    other without end. Raises `UserError` where there is no such manifest or nothing to read.
    """
    if name is None:
        root, name, number = _from_url(root)
    manifest = load(Store(root, scratch), name, number)
    if rank is None or world_size is None:
        is_one_of_many = distributed.is_available() and distributed.is_initialized()
        rank = distributed.get_rank() if is_one_of_many else 0
        world_size = distributed.get_world_size() if is_one_of_many else 1
    return ManifestStream(
        root,
        manifest.content.entries,
        manifest.digest,
        Reading(
            seed=seed,
            weights=weights,
            uneven=uneven,
            num_epochs=num_epochs,
            num_threads=num_threads,
            num_open=num_open,
            num_buffered=num_buffered,
        ),
        rank=Consumer(rank, world_size),
        scratch=scratch,
    )


def _from_url(url: str) -> tuple[str, str, int | None]:
    if (match := _MANIFEST_URL.match(url)) is None:
        raise UserError(
            f"{url!r} names no manifest; give the root and the name, or a URL that ends in"
            " /manifests/NAME or /manifests/NAME/00001.json"
        )
    number = match["number"]
    return match["root"], match["name"], None if number is None else int(number)


class ManifestStream(IterableDataset[Sample]):
    """The examples of a manifest for one rank; in a worker of a `DataLoader`, for that worker.

    Each iteration begins where `load_state_dict` said, or at the first example. A
    `StatefulDataLoader` calls `state_dict` and `load_state_dict` in its workers by itself; with a
    plain `DataLoader` load what `state_after` returns.
    """

    def __init__(
        self,
        root: str,
        entries: Sequence[ManifestEntry],
        digest: str,
        reading: Reading,
        *,
        rank: Consumer,
        scratch: str | None = None,
    ) -> None:
        """`open_manifest` makes one. Raises `UserError` for weights that do not fit."""
        self._root, self._scratch = root, scratch
        self.entries = [entry for entry in entries if entry.num_windows]
        self._reading = reading
        self._rank = rank
        self._order = {
            "manifest": digest,
            "rank": rank.index,
            "world_size": rank.num,
            **reading.order(),
        }
        reading.refuse_unknown({entry.corpus for entry in self.entries})
        self._from: dict[str, int] = {}
        self._num_workers: int | None = None
        self._turn = 0
        self._num_consumed = 0

    @property
    def num_examples(self) -> int:
        """Examples of an epoch, over all ranks and workers."""
        return sum(entry.num_windows for entry in self.entries)

    def __iter__(self) -> Iterator[Sample]:
        """Decoded ahead on threads. Raises `IntegrityError` for a file that is not what it was."""
        worker, num_workers = self._worker()
        self._num_consumed = self._start(worker, num_workers)
        consumer = self._consumer(worker, num_workers)
        examples = self._examples(consumer, self._num_consumed)
        num_threads = self._reading.num_threads
        ahead = read_ahead(
            examples, Sample.of, num_threads=num_threads, num_ahead=num_threads * _NUM_AHEAD
        )
        with closing(ahead):
            for sample in ahead:
                self._num_consumed += 1
                yield sample

    def state_dict(self) -> dict[str, Any]:
        """How much of this worker's share was consumed, and of which order."""
        worker, num_workers = self._worker()
        return self._state({str(worker): self._num_consumed}, num_workers)

    def state_after(
        self, num_batches: int, *, batch_size: int, num_workers: int = 0
    ) -> dict[str, Any]:
        """The state when a `DataLoader` of this stream has given `num_batches` since its beginning.

        True of a loader that keeps its last partial batch, as it does by itself.
        """
        num_shares = max(1, num_workers)
        totals = [
            self._reading.num_in_all(self.entries, self._consumer(worker, num_shares))
            for worker in range(num_shares)
        ]
        consumed, turn = consumed_by_workers(num_batches, batch_size, totals)
        by_worker = {str(worker): num for worker, num in enumerate(consumed)}
        return self._state(by_worker, num_shares, turn)

    def load_state_dict(self, state: State) -> None:
        """Go on where a state was taken.

        Raises `UserError` when it is one of another manifest or of another order.
        """
        for key, expected in self._order.items():
            if (found := state["order"].get(key)) != expected:
                raise UserError(
                    f"the state was taken with {key} {found}, this stream has {expected}; open the"
                    " manifest as it was opened then"
                )
        self._from, self._num_workers = dict(state["num_consumed"]), state["num_workers"]
        self._turn = state["turn"]
        worker, _ = self._worker()
        self._num_consumed = self._from.get(str(worker), 0)

    def to_iterable_dataset(self, num_shards: int | None = None) -> "HubIterableDataset":
        """One epoch as a `datasets.IterableDataset` of dictionaries with the fields of `Sample`.

        `num_shards`, by default one for each file of audio, is what that library can share among
        ranks and workers; it takes the place of the rank of this stream.
        """
        from datasets import IterableDataset as HubIterableDataset  # takes a second to import

        if self._reading.weights is not None:
            raise UserError(
                "weights mix without end, and `datasets` is given an epoch; open the manifest"
                " without them and mix with datasets.interleave_datasets"
            )
        shards = list(
            range(num_shards or len({entry.files["normalise"].path for entry in self.entries}))
        )
        return HubIterableDataset.from_generator(
            _rows, gen_kwargs={"shards": shards, "stream": self, "num_shards": len(shards)}
        )

    def one_epoch(self, consumer: Consumer) -> Iterator[Sample]:
        """What a reader takes in the first epoch."""
        for example in islice(
            self._source(consumer).stream(0), self._reading.share_size(self.entries, consumer)
        ):
            yield Sample.of(example)

    def _state(
        self, num_consumed: dict[str, int], num_workers: int, turn: int = 0
    ) -> dict[str, Any]:
        return {
            "num_consumed": num_consumed,
            "num_workers": num_workers,
            "turn": turn,
            "order": dict(self._order),
        }

    def _worker(self) -> tuple[int, int]:
        """Which worker of a `DataLoader` this process stands for, and of how many; else 0 of 1.

        A new loader begins with its first worker, which takes the place of the one whose turn it
        was.
        """
        if (info := get_worker_info()) is None:
            return 0, 1
        return (info.id + self._turn) % info.num_workers, info.num_workers

    def _start(self, worker: int, num_workers: int) -> int:
        if self._num_workers is None:
            return 0
        if self._num_workers != num_workers or str(worker) not in self._from:
            raise UserError(
                f"the state was taken with {self._num_workers} workers and knows"
                f" {', '.join(self._from)}, this is worker {worker} of {num_workers}; go on with as"
                " many workers, and with a plain DataLoader from what `state_after` returns"
            )
        return self._from[str(worker)]

    def _consumer(self, worker: int, num_workers: int) -> Consumer:
        index = self._rank.index * num_workers + worker
        return Consumer(index, self._rank.num * num_workers)

    def _examples(self, consumer: Consumer, start: int) -> Generator[Example, None, None]:
        num_in_all = self._reading.num_in_all(self.entries, consumer)
        num_left = None if num_in_all is None else max(0, num_in_all - start)
        yield from islice(self._source(consumer).stream(start), num_left)

    def _source(self, consumer: Consumer) -> ExampleSource:
        """Opens the store anew: its connections do not survive the fork of a worker."""
        store = Store(self._root, self._scratch)
        return self._reading.source(self.entries, store.fetch, consumer)


def _rows(shards: list[int], stream: ManifestStream, num_shards: int) -> Iterator[dict[str, Any]]:
    for shard in shards:
        for sample in stream.one_epoch(Consumer(shard, num_shards)):
            yield asdict(sample)

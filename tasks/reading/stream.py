"""A manifest as a PyTorch `IterableDataset` of decoded examples, for any training code."""

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
from tasks.reading.options import ReadOptions
from tasks.reading.partition import Consumer, Uneven, consumed_by_workers
from tasks.reading.reader import NUM_BUFFERED, NUM_OPEN
from tasks.reading.sample import Sample

if TYPE_CHECKING:
    from datasets import IterableDataset as HubIterableDataset

_MANIFEST_URL: Final = re.compile(
    r"^(?P<root>.*)/manifests/(?P<name>[^/]+)(/(?P<number>\d+)\.json)?$"
)
_NUM_AHEAD: Final = 8
"""Decoded windows to prefetch per thread; a window of 30 s has 2 MB."""

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
    """Open a published manifest as a stream of examples.

    Args:
        root: Folder or URL such as `s3://bucket/prefix`. With `/manifests/NAME` or
            `/manifests/NAME/00003.json` at its end, it also gives name and number.
        name: Name of the manifest.
        number: Number of the manifest; None: the newest.
        seed: Decides the order of the examples.
        weights: Weights by corpus, of an endless mixture of these; None: all, by their sizes.
        rank: Rank of this process; None: from `torch.distributed` if initialised, else 0.
        world_size: Number of processes; None: as for `rank`, else 1.
        uneven: For uneven parts, "keep" gives some one more, "drop" skips and "wrap" repeats a few.
        num_epochs: Number of epochs; None: endless.
        num_threads: Decoding threads per worker.
        num_open: Shards open at a time, plus one.
        num_buffered: Windows in the shuffle buffer of each worker.
        scratch: Local folder for verified copies of remote files, deleted after use.

    In each epoch every example occurs once over all ranks and workers. Raises `UserError` if the
    manifest does not exist or has no training data.
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
        ReadOptions(
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
            f"{url!r} is not the URL of a manifest; give root and name, or a URL that ends in"
            " /manifests/NAME or /manifests/NAME/00001.json"
        )
    number = match["number"]
    return match["root"], match["name"], None if number is None else int(number)


class ManifestStream(IterableDataset[Sample]):
    """The examples of a manifest for one rank, or for one worker of a `DataLoader`.

    Iteration starts at the first example, or where `load_state_dict` set it. `StatefulDataLoader`
    of torchdata calls `state_dict` and `load_state_dict` in its workers itself; with a plain
    `DataLoader`, load the result of `state_after`.
    """

    def __init__(
        self,
        root: str,
        entries: Sequence[ManifestEntry],
        digest: str,
        options: ReadOptions,
        *,
        rank: Consumer,
        scratch: str | None = None,
    ) -> None:
        """Use `open_manifest`. Raises `UserError` for invalid weights."""
        self._root, self._scratch = root, scratch
        self.entries = [entry for entry in entries if entry.num_windows]
        self._options = options
        self._rank = rank
        self._order = {
            "manifest": digest,
            "rank": rank.index,
            "world_size": rank.num,
            **options.order(),
        }
        options.validate({entry.corpus for entry in self.entries})
        self._start_by_worker: dict[str, int] = {}
        self._num_workers: int | None = None
        self._turn = 0
        self._num_consumed = 0

    @property
    def num_examples(self) -> int:
        """The number of examples per epoch, over all ranks and workers."""
        return sum(entry.num_windows for entry in self.entries)

    def __iter__(self) -> Iterator[Sample]:
        """Decode ahead on threads. Raises `IntegrityError` for a damaged or missing file."""
        worker, num_workers = self._worker()
        self._num_consumed = self._start(worker, num_workers)
        consumer = self._consumer(worker, num_workers)
        examples = self._examples(consumer, self._num_consumed)
        num_threads = self._options.num_threads
        ahead = read_ahead(
            examples, Sample.of, num_threads=num_threads, num_ahead=num_threads * _NUM_AHEAD
        )
        with closing(ahead):
            for sample in ahead:
                self._num_consumed += 1
                yield sample

    def state_dict(self) -> dict[str, Any]:
        """The number of examples consumed by this worker, and the options of the stream."""
        worker, num_workers = self._worker()
        return self._state({str(worker): self._num_consumed}, num_workers)

    def state_after(
        self, num_batches: int, *, batch_size: int, num_workers: int = 0
    ) -> dict[str, Any]:
        """The state after a `DataLoader` of this stream has yielded `num_batches` in total.

        The loader must keep its last partial batch, as it does by default.
        """
        num_readers = max(1, num_workers)
        totals = [
            self._options.num_examples(self.entries, self._consumer(worker, num_readers))
            for worker in range(num_readers)
        ]
        consumed, turn = consumed_by_workers(num_batches, batch_size, totals)
        by_worker = {str(worker): num for worker, num in enumerate(consumed)}
        return self._state(by_worker, num_readers, turn)

    def load_state_dict(self, state: State) -> None:
        """Resume from a state.

        Raises `UserError` if it is of another manifest or other options.
        """
        for key, expected in self._order.items():
            if (found := state["order"].get(key)) != expected:
                raise UserError(
                    f"the state was taken with {key} {found}, this stream has {expected}; open the"
                    " manifest with the same options"
                )
        self._start_by_worker, self._num_workers = dict(state["num_consumed"]), state["num_workers"]
        self._turn = state["turn"]
        worker, _ = self._worker()
        self._num_consumed = self._start_by_worker.get(str(worker), 0)

    def to_iterable_dataset(self, num_shards: int | None = None) -> "HubIterableDataset":
        """One epoch as a `datasets.IterableDataset` of dictionaries with the fields of `Sample`.

        `num_shards`, by default one per audio file, is the number of parts that `datasets` can
        divide among ranks and workers; the rank of this stream is ignored.
        """
        from datasets import IterableDataset as HubIterableDataset  # takes a second to import

        if self._options.weights is not None:
            raise UserError(
                "a mixture by weights is endless, and `datasets` needs one epoch; open the manifest"
                " without weights and mix with datasets.interleave_datasets"
            )
        shards = list(
            range(num_shards or len({entry.files["normalise"].path for entry in self.entries}))
        )
        return HubIterableDataset.from_generator(
            _rows, gen_kwargs={"shards": shards, "stream": self, "num_shards": len(shards)}
        )

    def one_epoch(self, consumer: Consumer) -> Iterator[Sample]:
        """The first epoch of a reader."""
        for example in islice(
            self._source(consumer).stream(0), self._options.partition_size(self.entries, consumer)
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
        """Index of the `DataLoader` worker that this process continues, and their number.

        A new loader starts with its worker 0, which continues the worker whose turn was next.
        Outside of a loader: 0 of 1.
        """
        if (info := get_worker_info()) is None:
            return 0, 1
        return (info.id + self._turn) % info.num_workers, info.num_workers

    def _start(self, worker: int, num_workers: int) -> int:
        if self._num_workers is None:
            return 0
        if self._num_workers != num_workers or str(worker) not in self._start_by_worker:
            raise UserError(
                f"the state was taken with {self._num_workers} workers and is of workers"
                f" {', '.join(self._start_by_worker)}, this is worker {worker} of {num_workers};"
                " use as many workers, and with a plain DataLoader the result of `state_after`"
            )
        return self._start_by_worker[str(worker)]

    def _consumer(self, worker: int, num_workers: int) -> Consumer:
        index = self._rank.index * num_workers + worker
        return Consumer(index, self._rank.num * num_workers)

    def _examples(self, consumer: Consumer, start: int) -> Generator[Example, None, None]:
        num_total = self._options.num_examples(self.entries, consumer)
        num_left = None if num_total is None else max(0, num_total - start)
        yield from islice(self._source(consumer).stream(start), num_left)

    def _source(self, consumer: Consumer) -> ExampleSource:
        """Opens a new store, because connections do not survive the fork of a worker."""
        store = Store(self._root, self._scratch)
        return self._options.source(self.entries, store.fetch, consumer)


def _rows(shards: list[int], stream: ManifestStream, num_shards: int) -> Iterator[dict[str, Any]]:
    for shard in shards:
        for sample in stream.one_epoch(Consumer(shard, num_shards)):
            yield asdict(sample)

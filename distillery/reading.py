"""A published manifest as a stream of training examples."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tasks.reading.stream import ManifestStream


def open_manifest(
    root: str,
    name: str | None = None,
    number: int | None = None,
    *,
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    uneven: Literal["keep", "drop", "wrap"] = "keep",
    num_epochs: int | None = None,
    num_threads: int = 2,
    num_open: int | None = None,
    num_buffered: int | None = None,
    scratch: str | None = None,
) -> "ManifestStream":
    """Open a published manifest, the newest one unless `number` is given.

    The stream is a `torch.utils.data.IterableDataset` of `Sample`s: `samples` is float32 of shape
    (num_samples,) at 16 kHz, `tokens` is int64 of shape (num_tokens,). See docs/training-data.md.

    Args:
        root: a folder or an fsspec URL such as `s3://bucket/prefix`. Ending in `/manifests/NAME`
            or `/manifests/NAME/00003.json`, it also gives `name` and `number`.
        name: the name under which the manifest is published (`publish.name`).
        number: 1 or more.
        seed: of the order, which is another one in each epoch.
        weights: relative probabilities of the only corpora to read, without end; None: by size.
        rank: which share to read; None: that of `torch.distributed` where it runs, else 0.
        world_size: the number of shares; None: as above, else 1.
        uneven: what to do with examples that cannot be shared evenly: `keep` them, so that some
            consumers have one more; `drop` them; or `wrap`, so that a few come twice.
        num_epochs: None: without end.
        num_threads: threads that decode audio, in each worker of a `DataLoader`.
        num_open: shards that are read at the same time; None: the reader's default.
        num_buffered: encoded examples that are held to shuffle them; None: as above.
        scratch: a folder for copies of remote files, which are removed after reading.

    Raises:
        UserError: there is no such manifest, it holds nothing to read, or the weights do not fit.
        IntegrityError: the manifest or, while reading, a file does not match its digest.
        TransientError: the storage does not answer.
    """
    from tasks.reading import reader, stream

    return stream.open_manifest(
        root,
        name,
        number,
        seed=seed,
        weights=weights,
        rank=rank,
        world_size=world_size,
        uneven=uneven,
        num_epochs=num_epochs,
        num_threads=num_threads,
        num_open=reader.NUM_OPEN if num_open is None else num_open,
        num_buffered=reader.NUM_BUFFERED if num_buffered is None else num_buffered,
        scratch=scratch,
    )

"""Which files the next part of a split's plan is made of."""

from collections.abc import Sequence
from itertools import count, dropwhile, takewhile

from storage.receipt import Receipt
from tasks.download.parts import Downloads


def next_part(parts: Sequence[Receipt]) -> int:
    """The number of the next part of a plan: the first one without a receipt."""
    numbers = {part.key.index for part in parts}
    return next(number for number in count() if number not in numbers)


def files_to_plan(
    downloads: Downloads, split: str, parts: Sequence[Receipt], *, self_contained: bool
) -> tuple[Receipt, ...]:
    """The downloaded files that the next part of a split's plan is made of, after its `parts`.

    Empty if it has to wait: a split is planned once all its files are downloaded, because an
    annotation whose audio is not there yet must not count as one without audio. If each file has
    its own annotations (`self_contained`), files are planned in their order as they arrive, twice
    as many with each part. There a part that is missing before others is made of what it was made
    of: the files before theirs.
    """
    done, wanted = downloads.receipts, downloads.of(split)
    here = list(takewhile(done.__contains__, wanted))
    planned = {source for part in parts for source in part.sources}
    new = [key for key in here if done[key].output.sha256 not in planned]
    if any(part.key.index > next_part(parts) for part in parts):
        files = [key for key in here if wanted[key].file is not None]
        new = list(takewhile(new.__contains__, dropwhile(lambda key: key not in new, files)))
    elif len(here) < len(wanted):
        new = [key for key in new if wanted[key].file is not None]
        num_planned = sum(wanted[key].file is not None for key in here) - len(new)
        if not self_contained or len(new) < max(1, num_planned):
            return ()
    if not new:
        return ()
    is_read = {*here} if not self_contained else {*new}
    return tuple(done[key] for key in here if key in is_read or wanted[key].file is None)

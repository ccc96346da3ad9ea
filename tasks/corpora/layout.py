"""Whether a delivery is laid out as its reader expects: a listing against patterns, no more."""

from collections.abc import Collection
from fnmatch import fnmatchcase

from tasks.corpora.sources import Delivery, Expected


def absent(source: Delivery, paths: Collection[str]) -> tuple[Expected, ...]:
    """What of a delivery is not among the paths below a mirror."""
    return tuple(
        expected
        for expected in source.expected
        if not any(fnmatchcase(path, expected.pattern) for path in paths)
    )

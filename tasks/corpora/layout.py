"""Checks the listing of a delivery against the patterns that its reader expects."""

from collections.abc import Collection
from fnmatch import fnmatchcase

from tasks.corpora.sources import Delivery, Expected


def absent(source: Delivery, paths: Collection[str]) -> tuple[Expected, ...]:
    """The expected patterns of a delivery that no path below a mirror matches."""
    return tuple(
        expected
        for expected in source.expected
        if not any(fnmatchcase(path, expected.pattern) for path in paths)
    )

"""Identity: the hash of what decides a result, and of nothing else."""

import hashlib
import json
from collections.abc import Mapping, Sequence

Hashable = str | int | float | bool | None | Sequence["Hashable"] | Mapping[str, "Hashable"]

_NUM_DIGITS = 16


def digest(value: Hashable) -> str:
    """SHA-256 of the canonical JSON of `value`; raises `TypeError` for what has none.

    Keys are sorted, numbers keep Python's shortest form, and 1 and 1.0 are different values.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise TypeError(f"{value!r} has no stable form: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(
    *, stage: str, version: int, corpus: str, parameters: Hashable, upstream: Sequence[str]
) -> str:
    """What decides the result of one stage for one corpus, in 16 hexadecimal digits."""
    return digest(
        {
            "stage": stage,
            "version": version,
            "corpus": corpus,
            "parameters": parameters,
            "upstream": list(upstream),
        }
    )[:_NUM_DIGITS]

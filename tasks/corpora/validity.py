"""Which values of a row a plan can hold: texts in UTF-8, and times in ascending order."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain, pairwise
from typing import Final, TypeAlias, TypeGuard

MAX_S: Final = 31 * 24 * 3600
"""A month in seconds: no recording is longer, so a later time is an error."""

Fault: TypeAlias = tuple[str, str]
"""A reason, which is counted, and the detail of this one row."""

_SHOWN_CHARS: Final = 80


def fault_of_texts(
    texts: Mapping[str, object], *, needed: Collection[str], optional: Collection[str]
) -> Fault | None:
    """What is wrong with texts by field name: not a text, not UTF-8, or empty though `needed`.

    Those that are `optional` may be None.
    """
    for name, text in texts.items():
        if text is None and name in optional:
            continue
        if not isinstance(text, str):
            return "malformed_text", f"{name} is {shown(text)}, which is not a text"
        if text != storable(text):
            return "malformed_text", f"{name} is not UTF-8: {shown(text)}"
        if not text and name in needed:
            return "no_id", f"{name} is empty"
    return None


def fault_of_times(parts: Sequence[tuple[object, object]]) -> Fault | None:
    """What is wrong with the (start, end) of consecutive parts of a recording, in seconds.

    The last end may be None. Times are numbers from 0 to `MAX_S`, a part has a duration above zero
    and does not begin before the previous one ends.
    """
    times: list[float] = []
    given = list(chain.from_iterable(parts))
    for time_s in given[:-1] if given[-1] is None else given:
        if not (is_number(time_s) and 0 <= time_s <= MAX_S):
            return "malformed_times", f"{shown(time_s)} is not a time in seconds up to {MAX_S}"
        times.append(time_s)
    for number, (before_s, after_s) in enumerate(pairwise(times)):
        is_part = number % 2 == 0
        if after_s < before_s or (is_part and after_s == before_s):
            return "reversed_times", f"{before_s} to {after_s} s"
    return None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, and not NaN."""
    return type(value) in (int, float) and value == value


def shown(value: object) -> str:
    """How a value begins, also one that is too deep or too large to be printed whole."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # the latter: more digits than Python converts
        text = f"a {type(value).__name__} that is too large"
    return text[:_SHOWN_CHARS]


def storable(text: str) -> str:
    r"""The text with escapes in place of what UTF-8 cannot encode.

    >>> storable("caf\udce9")
    'caf\\udce9'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

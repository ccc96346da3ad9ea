"""What every block of settings is made of."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Settings(BaseModel):
    """A frozen block of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def holds_credentials(url: str) -> bool:
    """Whether a URL has what may log in: no part of it may be shown then.

    >>> holds_credentials("s3://key:sec/ret@bucket/prefix"), holds_credentials("data@home/results")
    (True, False)
    """
    return "@" in url.partition("://")[2]


def merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `own` over those of `common`, block by block.

    >>> merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}})
    {'a': {'b': 4, 'c': 2}, 'd': 3}
    """
    found = dict(common)
    for name, value in own.items():
        under = found.get(name)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            found[name] = merged(under, value)
        else:
            found[name] = value
    return found

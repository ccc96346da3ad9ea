"""Building blocks of the configuration."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Settings(BaseModel):
    """A frozen block of settings; unknown keys are errors.

    The docstring below a field is its description in the JSON schema.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def holds_credentials(url: str) -> bool:
    """Whether a URL may contain credentials; if so, no part of it is shown.

    >>> holds_credentials("s3://key:sec/ret@bucket/prefix"), holds_credentials("data@home/results")
    (True, False)
    """
    return "@" in url.partition("://")[2]


def merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`common` overridden by `own`; nested blocks are merged, lists replaced.

    >>> merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}})
    {'a': {'b': 4, 'c': 2}, 'd': 3}
    """
    result = dict(common)
    for name, value in own.items():
        inherited = result.get(name)
        if isinstance(value, Mapping) and isinstance(inherited, Mapping):
            result[name] = merged(inherited, value)
        else:
            result[name] = value
    return result

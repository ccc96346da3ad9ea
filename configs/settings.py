"""What every block of settings is made of."""

from typing import Annotated

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

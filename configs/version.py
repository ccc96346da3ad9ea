"""The installed version of this project."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "speech-distillery"
"""The name of the project in `pyproject.toml`, which differs from that of its packages."""

_UNKNOWN: Final = "0+unknown"


def installed_version() -> str:
    """The version, such as `0.1.0`; `0+unknown` where the packages run without an installation."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return _UNKNOWN

"""Files that are installed with the packages: the checked-in configurations and the demo's teacher.

Found from any working directory. Reads nothing at import.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

INSTALLED: Final = Path(__file__).resolve().parents[1]
"""The folder of the packages: a checkout, or site-packages."""

_FOLDERS: Final = ("configs", "tasks")
_SUFFIX: Final = ".yaml"
_GRIDS: Final = "configs/grids"


def bundled_names() -> list[str]:
    """The names of the bundled configurations, in order.

    >>> bundled_names()
    ['demo', 'full', 'laptop', 'librispeech', 'medium.en', 'paper', 'paper-in-small', 'tiny']
    """
    return sorted(file.stem for file in (INSTALLED / "configs").glob(f"*{_SUFFIX}"))


def configuration_file(path: str | Path) -> Path:
    """The file of a configuration: `path`, or a bundled one that `path` names, such as `demo`.

    A file that exists always wins, and a path that names nothing is returned as it is.

    >>> configuration_file("demo").name, configuration_file("no-such.yaml").name
    ('demo.yaml', 'no-such.yaml')
    """
    return _named(path, "configs", bundled_names())


def bundled_grids() -> list[str]:
    """The names of the bundled grids, in order.

    >>> bundled_grids()[:2]
    ['demo', 'paper-in-small-ablations']
    """
    return sorted(file.stem for file in (INSTALLED / _GRIDS).glob(f"*{_SUFFIX}"))


def grid_file(path: str | Path) -> Path:
    """The file of a grid: `path`, or a bundled one that `path` names, as `configuration_file`.

    >>> grid_file("demo").parts[-2:], grid_file("no-such.yaml").name
    (('grids', 'demo.yaml'), 'no-such.yaml')
    """
    return _named(path, _GRIDS, bundled_grids())


def _named(path: str | Path, folder: str, names: Sequence[str]) -> Path:
    given = Path(path)
    if not given.exists() and given.name in names and len(given.parts) == 1:
        return INSTALLED / folder / f"{given.name}{_SUFFIX}"
    return installed_path(given)


def installed_path(path: str | Path) -> Path:
    """`path`; where it does not exist and is relative, the installed file or folder of that name.

    `tasks/demo/teacher` is thus the demo's teacher in any working directory.
    """
    given = Path(path).expanduser()
    if given.is_absolute() or given.exists() or not given.parts or given.parts[0] not in _FOLDERS:
        return given
    bundled = INSTALLED / given
    return bundled if bundled.exists() else given

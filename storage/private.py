"""Folders that only the current user can read and write."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from storage.errors import UserError

_FOLDER: Final = 0o700
_FILE: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def private_folder(path: Path, otherwise: str) -> None:
    """Create a folder for the current user alone, or check and close an existing one.

    Everything in it is closed to others too. Raises `UserError`, with `otherwise` as the way out
    beside removing it, for a symbolic link there or inside, for what is no folder, and for a folder
    that others own or that everybody can write to: its contents may not be this user's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(_FOLDER)
    except FileExistsError:
        if problem := _problem(path):
            raise UserError(
                f"{path} {problem}; expected a folder of user {os.getuid()} with mode 700, without"
                f" symbolic links; remove it with `rm -r {path}`, or {otherwise}"
            ) from None
    path.chmod(_FOLDER)  # mkdir also applies the umask
    _close_contents(path)


def open_private(path: Path) -> BinaryIO:
    """A file that only the current user can read, to append to; raises `OSError` for a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, _FILE), "ab")


def _problem(path: Path) -> str | None:
    """What makes the contents of an existing folder untrustworthy."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return f"is a symbolic link to {os.readlink(path)}"
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if found.st_uid != os.getuid():
        return f"belongs to user {found.st_uid}"
    if found.st_mode & stat.S_IWOTH:
        return f"has mode {stat.S_IMODE(found.st_mode):o}, so that everybody can write to it"
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            if (inside := Path(folder, name)).is_symlink():
                return f"has a symbolic link in it, {inside.name} to {os.readlink(inside)}"
    return None


def _close_contents(path: Path) -> None:
    for folder, folders, files in os.walk(path):
        for names, mode in ((folders, _FOLDER), (files, _FILE)):
            for name in names:
                with suppress(FileNotFoundError):  # another process has finished with it
                    inside = Path(folder, name)
                    if inside.lstat().st_mode & _OTHERS:
                        inside.chmod(mode)

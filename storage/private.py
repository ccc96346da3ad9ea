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
    beside removing it, for a symbolic link there or inside, for what is no folder, for a folder
    that everybody can write to, and where others own it or anything inside: its contents may not be
    this user's. One that only the group can write to, as this user makes them under umask 002, is
    closed: it is refused only for links and files of others in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(_FOLDER)
    except FileExistsError:
        _refuse(path, _problem(path), otherwise)
    path.chmod(_FOLDER)  # mkdir also applies the umask; nobody can add anything from here on
    _refuse(path, _problem_inside(path), otherwise)
    _close_contents(path)


def open_private(path: Path) -> BinaryIO:
    """A file that only the current user can read, to append to; raises `OSError` for a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, _FILE), "ab")


def _refuse(path: Path, problem: str | None, otherwise: str) -> None:
    if problem:
        raise UserError(
            f"{path} {problem}; expected a folder of user {os.getuid()} with mode 700, without"
            f" symbolic links and files of others; remove it with `rm -r {path}`, or {otherwise}"
        )


def _problem(path: Path) -> str | None:
    """What makes an existing folder untrustworthy, whatever is in it."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return f"is a symbolic link to {os.readlink(path)}"
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if found.st_uid != os.getuid():
        return f"belongs to user {found.st_uid}"
    if found.st_mode & stat.S_IWOTH:
        return f"has mode {stat.S_IMODE(found.st_mode):o}, so that everybody can write to it"
    return None


def _problem_inside(path: Path) -> str | None:
    """What others may have put into a folder."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # another process has finished with it
                found = (inside := Path(folder, name)).lstat()
                if stat.S_ISLNK(found.st_mode):
                    return f"has a symbolic link in it, {name} to {os.readlink(inside)}"
                if found.st_uid != os.getuid():
                    return f"has {name} in it, which belongs to user {found.st_uid}"
    return None


def _close_contents(path: Path) -> None:
    for folder, folders, files in os.walk(path):
        for names, mode in ((folders, _FOLDER), (files, _FILE)):
            for name in names:
                with suppress(FileNotFoundError):  # another process has finished with it
                    inside = Path(folder, name)
                    if inside.lstat().st_mode & _OTHERS:
                        inside.chmod(mode)

"""Copies the stored student to a local folder, each file compared with its digest."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.errors import UserError
from storage.faults import translated_errors
from storage.receipt import Receipt
from storage.store import Store


def copy_student(store: Store, receipt: Receipt, folder: Path) -> None:
    """Copy the files of a student; raises `IntegrityError` if one is missing or damaged."""
    for file in (receipt.output, *receipt.beside):
        with store.fetch(file) as path:
            shutil.copyfile(path, folder / file.path.rsplit("/", 1)[1])


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `target` once the context ends without an error.

    Raises `UserError` if there is anything at `target` but an empty folder.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        kind = "not empty" if target.is_dir() else "a file"
        raise UserError(f"{target} is {kind}, and nothing is overwritten; name a new folder")
    parent = target.resolve().parent
    with translated_errors("write to", str(target), is_local=True):
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=parent, prefix=f".{target.name}.") as temporary:
            written = Path(temporary) / "written"
            written.mkdir()
            yield written
            written.replace(target)

"""The view of files that nothing names."""

from collections.abc import Iterator, Sequence

from flows.commands.terminal.render import Part, View
from flows.state.garbage import Garbage


def garbage_view(garbage: Sequence[Garbage], *, is_deleted: bool) -> View:
    """The files, their number and their size."""
    return View(garbage, _garbage_parts(garbage, is_deleted=is_deleted))


def _garbage_parts(garbage: Sequence[Garbage], *, is_deleted: bool) -> Iterator[Part]:
    yield from (file.path for file in garbage)
    megabytes = sum(file.size_bytes for file in garbage) / 1e6
    verb = "deleted" if is_deleted else "can be deleted with --delete"
    yield f"{len(garbage)} files, {megabytes:.1f} MB {verb}"

"""Markdown as the generated pages use it."""

from collections.abc import Iterable, Iterator, Sequence

NOTE = "<!-- Written by `make reference` from the code; edit the docstrings there. -->"


def page(title: str, parts: Iterable[str]) -> str:
    """A page whose parts are separated by empty lines."""
    return "\n\n".join([NOTE, f"# {title}", *parts]) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a line break in a cell becomes a space, and a bar is escaped."""
    return "\n".join(_lines(columns, rows))


def _lines(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(cell(text) for text in row)} |"


def cell(text: str) -> str:
    r"""A text on one line, as a cell of a table.

    >>> cell("one | two\nthree")
    'one \\| two three'
    """
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """A text as code."""
    return f"`{text}`"


def anchor(title: str) -> str:
    """The anchor of a heading, as GitHub and the site make it.

    >>> anchor("`corpora.NAME.local`"), anchor("distillery run")
    ('corporanamelocal', 'distillery-run')
    """
    kept = (one for one in title.lower() if one.isalnum() or one in " -_")
    return "".join(kept).replace(" ", "-")

"""The blocks of code of a page."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The blocks in a language, as they are on the page."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    """The lines of all blocks of shell commands."""
    return [line for block in blocks(page, "bash") for line in block.splitlines()]

"""Which pages are generated, each by a function that returns its text."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from docs.generator.commands import commands_page
from docs.generator.configuration import configuration_page
from docs.generator.records import records_page
from docs.generator.tables import tables_page

REFERENCE: Final = Path(__file__).parents[1] / "reference"

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands_page,
    "configuration.md": configuration_page,
    "records.md": records_page,
    "tables.md": tables_page,
}

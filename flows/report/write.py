"""Where the page about a run is kept, and how it gets there."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from configs.schema import RunConfig
from flows.report.facts import read_facts
from flows.report.page import ABOVE, render_page
from flows.state.corpus_state import CorpusState
from storage.errors import UserError
from storage.store import Store


def write_page(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> tuple[str, bool]:
    """The path of the page about the run as it is now, and whether it is new.

    It is named by everything that decides it, so a second call finds the page and reads records
    alone. Raises `IntegrityError` for a damaged file that it shows something of.
    """
    facts = read_facts(config, store, states)
    path = f"reports/{facts.name}/{facts.digest[:16]}.html"
    if store.exists(path):
        return path, False
    return path, store.put_if_absent(path, render_page(facts).encode())


def copy_page(store: Store, path: str, target: Path) -> None:
    """A copy of a page outside the root, whose links to stored files still lead there.

    Raises `UserError` if it cannot be written.
    """
    page = store.read(path).decode()
    page = page.replace(f'href="{ABOVE}', f'href="{escape(store.url(""))}')
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error

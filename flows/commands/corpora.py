"""The ledger of corpora: where each comes from, and what its licence allows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from flows.commands.screen import OUT, table
from tasks.corpora.base import Corpus, Licence, Role
from tasks.corpora.registry import CORPORA
from tasks.corpora.sources import Archive, HubFiles, Source

_COLUMNS: Final = (
    "corpus",
    "hours",
    "in the\npaper",
    "source",
    "licence",
    "commercial,\nderivatives,\npassing on",
)
_WORDS: Final = frozenset(_COLUMNS[3:])
_WIDEST: Final = {"corpus": 20, "licence": 19}  # characters, so that sources need not break


class Entry(BaseModel):
    """One corpus: `sources` by form, hours in all and in the paper's training set."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    homepage: str
    hours: float
    paper_hours: float | None
    splits: Mapping[str, Role]
    sources: Mapping[str, tuple[str, ...]]
    licence: Licence
    notes: tuple[str, ...]

    @property
    def is_for_training(self) -> bool:
        """Whether it has a split to learn from."""
        return "train" in self.splits.values()


def read_ledger(corpora: Mapping[str, Mapping[str, Corpus]] = CORPORA) -> list[Entry]:
    """An entry for each corpus, as its first form states it."""
    return [_entry(forms) for forms in corpora.values()]


def _entry(forms: Mapping[str, Corpus]) -> Entry:
    corpus = next(iter(forms.values()))
    return Entry(
        name=corpus.name,
        title=corpus.title,
        homepage=corpus.homepage,
        hours=sum(corpus.hours.values()),
        paper_hours=corpus.paper_hours,
        splits=corpus.splits,
        sources={form: _named(one.sources) for form, one in forms.items()},
        licence=corpus.licence,
        notes=corpus.notes,
    )


def _named(sources: Sequence[Source]) -> tuple[str, ...]:
    """Repositories and deliveries by name; files by the host that has them, with their number."""
    found: Counter[str] = Counter()
    for source in sources:
        if isinstance(source, HubFiles):
            name = f"{source.repo} ({'Hub, gated' if source.gated else 'Hub'})"
        elif isinstance(source, Archive):
            name = f"{urlsplit(source.url).netloc}{' (by hand)' if source.by_hand else ''}"
        else:
            name = source.name
        found[name] += 1
    return tuple(f"{name} ({count})" if count > 1 else name for name, count in found.items())


def print_ledger(entries: Sequence[Entry]) -> None:
    """The corpora to train on, those to measure on, and what one must sign or bring."""
    _print("Corpora", [entry for entry in entries if entry.is_for_training])
    _print("For evaluation only", [entry for entry in entries if not entry.is_for_training])
    made = table("To sign or bring", "corpus", "what", words=["what"])
    for entry in entries:
        if entry.licence.to_sign:
            made.add_row(entry.name, entry.licence.to_sign)
    OUT.print(made)
    OUT.print(
        "As the distributors state it, and no legal advice. --json tells homepages, splits and"
        " notes too.",
        markup=False,
    )


def _print(title: str, entries: Sequence[Entry]) -> None:
    made = table(title, *_COLUMNS, words=_WORDS)
    made.leading = 1
    made.collapse_padding = True
    for header, column in zip(_COLUMNS, made.columns, strict=True):
        column.max_width = _WIDEST.get(header)
    made.columns[-1].no_wrap = True
    for entry in entries:
        licence = entry.licence
        rights = (licence.commercial_use, licence.derivatives, licence.redistribution)
        made.add_row(
            f"{entry.title}\n[dim]{entry.name}[/dim]",
            f"{entry.hours:,.0f}",
            "" if entry.paper_hours is None else f"{entry.paper_hours:,.0f}",
            "\n".join(_lines(entry)),
            licence.name,
            ", ".join("yes" if right else "no" for right in rights),
        )
    total = sum(entry.paper_hours or 0.0 for entry in entries)
    if total:
        made.add_section()
        made.add_row("in all", f"{sum(one.hours for one in entries):,.0f}", f"{total:,.0f}")
    OUT.print(made)


def _lines(entry: Entry) -> list[str]:
    return [
        f"{f'{form}: ' if form else ''}{', '.join(names)}" for form, names in entry.sources.items()
    ]

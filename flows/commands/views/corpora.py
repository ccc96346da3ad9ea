"""The view of the catalogue of corpora."""

from collections.abc import Iterator, Sequence

from flows.commands.terminal.render import Part, View
from flows.tables.figures import Figures
from tasks.corpora.catalogue import CatalogueEntry


def catalogue_view(entries: Sequence[CatalogueEntry]) -> View:
    """Training and evaluation corpora with their hours, licences and sources."""
    return View(entries, _catalogue_parts(entries))


def _catalogue_parts(entries: Sequence[CatalogueEntry]) -> Iterator[Part]:
    yield _figures("Training corpora", [one for one in entries if one.is_for_training])
    yield _figures("Evaluation only", [one for one in entries if not one.is_for_training])
    yield "commercial, derivatives, redistribution: what the licence permits."
    for entry in entries:
        licence = entry.licence
        yield ""
        yield f"{entry.name}: {entry.title}; {licence.name}"
        for form, sources in entry.sources.items():
            yield f"  {f'form {form}' if form else 'source'}: {', '.join(sources)}"
        if licence.to_sign:
            yield f"  to sign or provide: {licence.to_sign}"
    yield ""
    yield (
        "Terms as the distributors state them; this is not legal advice. --json also has"
        " homepages, splits and notes."
    )


def _figures(title: str, entries: Sequence[CatalogueEntry]) -> Figures:
    hours, paper_hours = (
        sum(one.hours for one in entries),
        sum(one.paper_hours or 0.0 for one in entries),
    )
    return Figures(
        title=title,
        columns=("corpus", "hours", "in paper", "commercial", "derivatives", "redistribution"),
        rows=[
            (
                entry.name,
                f"{entry.hours:,.0f}",
                "" if entry.paper_hours is None else f"{entry.paper_hours:,.0f}",
                *_permissions(entry),
            )
            for entry in entries
        ],
        footer=[
            ("in all", f"{hours:,.0f}", f"{paper_hours:,.0f}" if paper_hours else "", "", "", "")
        ],
    )


def _permissions(entry: CatalogueEntry) -> Iterator[str]:
    licence = entry.licence
    for permission in (licence.commercial_use, licence.derivatives, licence.redistribution):
        yield "yes" if permission else "no"

"""The catalogue of corpora: where each is from, how large it is, and what its licence permits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from tasks.corpora.base import Corpus, Licence, Role
from tasks.corpora.registry import CORPORA
from tasks.corpora.sources import Archive, HubFiles, Source


class CatalogueEntry(BaseModel):
    """One corpus.

    `hours` are those of all splits, `paper_hours` those of the paper's training set; `sources` are
    by form.
    """

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
        """Whether it has a training split."""
        return "train" in self.splits.values()


def read_catalogue(
    corpora: Mapping[str, Mapping[str, Corpus]] = CORPORA,
) -> list[CatalogueEntry]:
    """An entry for each corpus, with the hours and terms of its first form."""
    return [_entry(forms) for forms in corpora.values()]


def _entry(forms: Mapping[str, Corpus]) -> CatalogueEntry:
    corpus = next(iter(forms.values()))
    return CatalogueEntry(
        name=corpus.name,
        title=corpus.title,
        homepage=corpus.homepage,
        hours=sum(corpus.hours.values()),
        paper_hours=corpus.paper_hours,
        splits=corpus.splits,
        sources={form: _names(one.sources) for form, one in forms.items()},
        licence=corpus.licence,
        notes=corpus.notes,
    )


def _names(sources: Sequence[Source]) -> tuple[str, ...]:
    """Repositories and deliveries by name; files by host, with their number."""
    counts: Counter[str] = Counter()
    for source in sources:
        if isinstance(source, HubFiles):
            name = f"{source.repo} ({'Hub, gated' if source.gated else 'Hub'})"
        elif isinstance(source, Archive):
            name = f"{urlsplit(source.url).netloc}{' (by hand)' if source.by_hand else ''}"
        else:
            name = source.name
        counts[name] += 1
    return tuple(f"{name} ({count})" if count > 1 else name for name, count in counts.items())

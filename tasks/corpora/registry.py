"""The built-in corpora, and the corpora of a run."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from configs.schema import CorpusSettings, RunConfig
from storage.errors import UserError
from tasks.corpora.base import Corpus
from tasks.corpora.public.ami.hub import AMI_HUB
from tasks.corpora.public.ami.release import AMI
from tasks.corpora.public.common_voice import COMMON_VOICE
from tasks.corpora.public.earnings import EARNINGS21, EARNINGS22
from tasks.corpora.public.fleurs import FLEURS
from tasks.corpora.public.gigaspeech import GIGASPEECH, GIGASPEECH_RELEASE
from tasks.corpora.public.librispeech import LIBRISPEECH, MINI_LIBRISPEECH
from tasks.corpora.public.peoples_speech import PEOPLES_SPEECH, PEOPLES_SPEECH_RELEASE
from tasks.corpora.public.spgispeech import SPGISPEECH
from tasks.corpora.public.tedlium import TEDLIUM
from tasks.corpora.public.tedlium_long_form import TEDLIUM_LONG_FORM
from tasks.corpora.public.telephone.fisher import FISHER
from tasks.corpora.public.telephone.hub5_2000 import HUB5_2000
from tasks.corpora.public.telephone.switchboard import SWITCHBOARD
from tasks.corpora.public.voxpopuli import VOXPOPULI
from tasks.corpora.sources import HubFiles
from tasks.corpora.synthetic import synthetic_revision


def _by_name(corpora: Iterable[Corpus]) -> Mapping[str, Mapping[str, Corpus]]:
    by_name: dict[str, dict[str, Corpus]] = {}
    for corpus in corpora:
        by_name.setdefault(corpus.name, {})[corpus.form] = corpus
    return by_name


CORPORA: Final = _by_name(
    (
        PEOPLES_SPEECH,
        PEOPLES_SPEECH_RELEASE,
        GIGASPEECH,
        GIGASPEECH_RELEASE,
        COMMON_VOICE,
        LIBRISPEECH,
        VOXPOPULI,
        TEDLIUM,
        FISHER,
        SWITCHBOARD,
        AMI,
        AMI_HUB,
        # small enough for a laptop
        MINI_LIBRISPEECH,
        # for evaluation only
        EARNINGS21,
        EARNINGS22,
        TEDLIUM_LONG_FORM,
        HUB5_2000,
        SPGISPEECH,
        FLEURS,
    )
)
"""Corpora by name and form; the first form is the default."""


def corpus_named(name: str, form: str | None = None) -> Corpus:
    """The corpus of that name; raises `UserError` with the known names."""
    if name not in CORPORA:
        raise UserError(
            f"no corpus {name!r}; known: {', '.join(sorted(CORPORA))}; a corpus of your own"
            f" needs a `local` block under corpora.{name}"
        )
    forms = CORPORA[name]
    if form is None:
        return next(iter(forms.values()))
    if form not in forms:
        raise UserError(
            f"corpora.{name}.form: no form {form!r}; use {' or '.join(filter(None, forms))}"
            if any(forms)
            else f"corpora.{name}.form: {name} has only one form; remove the key"
        )
    return forms[form]


def corpus_of_run(config: RunConfig, name: str) -> Corpus:
    """A corpus of a run, at the revision of the files that this run uses.

    Synthetic files, and files verified by a mirror's own checksums, get a revision of their own, so
    that neither is mistaken for the published release. Raises `UserError` for an unknown corpus.
    """
    settings = config.corpora[name]
    if settings.local is not None:
        from tasks.corpora.local.corpus import local_corpus

        return local_corpus(name, settings)
    corpus = _pinned(corpus_named(name, settings.form), settings)
    if config.synthetic is not None:
        return replace(corpus, revision=synthetic_revision(corpus.form, config.synthetic))
    if settings.checksums == "sha256sums":
        return replace(corpus, revision=f"{corpus.revision}-mirror")
    return corpus


def refuse_unlicensed(config: RunConfig) -> None:
    """Raise `UserError` naming each corpus whose licence the configuration does not allow."""
    if config.licence == "any":
        return
    refused = [
        f"{name} ({corpus.licence.name}{f'; {corpus.licence.note}' if corpus.licence.note else ''})"
        for name in config.corpora
        if not (corpus := corpus_of_run(config, name)).licence.commercial_use
    ]
    if refused:
        raise UserError(
            "licence is commercial, but commercial use is not allowed for"
            f" {', '.join(refused)}; remove them from corpora, or set licence: any"
        )


def _pinned(corpus: Corpus, settings: CorpusSettings) -> Corpus:
    """The corpus at the configured revision of its data set on the Hub."""
    if settings.revision is None:
        return corpus
    *others, last = corpus.sources
    if not isinstance(last, HubFiles):
        raise UserError(
            f"corpora.{corpus.name}.revision: {corpus.title} is not a data set of the Hub;"
            " remove the key"
        )
    pinned = replace(last, revision=settings.revision)
    return replace(corpus, sources=(*others, pinned), revision=settings.revision)

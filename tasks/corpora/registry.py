"""The corpora that a configuration can name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from configs.schema import CorpusSettings, RunConfig
from storage.errors import UserError
from tasks.corpora.ami import AMI
from tasks.corpora.ami_hub import AMI_HUB
from tasks.corpora.base import Corpus
from tasks.corpora.common_voice import COMMON_VOICE
from tasks.corpora.earnings import EARNINGS21, EARNINGS22
from tasks.corpora.fisher import FISHER
from tasks.corpora.fleurs import FLEURS
from tasks.corpora.gigaspeech import GIGASPEECH, GIGASPEECH_RELEASE
from tasks.corpora.hub5_2000 import HUB5_2000
from tasks.corpora.librispeech import LIBRISPEECH
from tasks.corpora.peoples_speech import PEOPLES_SPEECH, PEOPLES_SPEECH_RELEASE
from tasks.corpora.sources import HubFiles
from tasks.corpora.spgispeech import SPGISPEECH
from tasks.corpora.switchboard import SWITCHBOARD
from tasks.corpora.synthetic import synthetic_revision
from tasks.corpora.tedlium import TEDLIUM
from tasks.corpora.tedlium_long_form import TEDLIUM_LONG_FORM
from tasks.corpora.voxpopuli import VOXPOPULI


def _by_name(corpora: Iterable[Corpus]) -> Mapping[str, Mapping[str, Corpus]]:
    found: dict[str, dict[str, Corpus]] = {}
    for corpus in corpora:
        found.setdefault(corpus.name, {})[corpus.form] = corpus
    return found


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
        # for evaluation only
        EARNINGS21,
        EARNINGS22,
        TEDLIUM_LONG_FORM,
        HUB5_2000,
        SPGISPEECH,
        FLEURS,
    )
)
"""Name to form to corpus; the first form is taken unless another is named."""


def corpus_named(name: str, form: str | None = None) -> Corpus:
    """The corpus of that name; raises `UserError` naming those that there are."""
    if name not in CORPORA:
        raise UserError(
            f"no corpus {name!r}; there are {', '.join(sorted(CORPORA))}; one of your own needs a"
            f" `local` block under corpora.{name}"
        )
    forms = CORPORA[name]
    if form is None:
        return next(iter(forms.values()))
    if form not in forms:
        raise UserError(
            f"corpora.{name}.form: no form {form!r}; there is {' or '.join(filter(None, forms))}"
            if any(forms)
            else f"corpora.{name}.form: {name} is handed out in one form only; leave the key out"
        )
    return forms[form]


def corpus_of_run(config: RunConfig, name: str) -> Corpus:
    """A corpus of a run, at the revision of the files that this run uses.

    Synthetic files, and files verified by a mirror's own checksums, get a revision of their own, so
    that neither is mistaken for the published release. Raises `UserError` for an unknown corpus.
    """
    settings = config.corpora[name]
    if settings.local is not None:
        from tasks.corpora.local import local_corpus

        return local_corpus(name, settings)
    corpus = _pinned(corpus_named(name, settings.form), settings)
    if config.synthetic is not None:
        return replace(corpus, revision=synthetic_revision(corpus.form, config.synthetic))
    if settings.checksums == "sha256sums":
        return replace(corpus, revision=f"{corpus.revision}-mirror")
    return corpus


def refuse_unlicensed(config: RunConfig) -> None:
    """Raise `UserError` naming each corpus whose licence is not what the configuration demands."""
    if config.licence == "any":
        return
    refused = [
        f"{name} ({corpus.licence.name}{f'; {corpus.licence.note}' if corpus.licence.note else ''})"
        for name in config.corpora
        if not (corpus := corpus_of_run(config, name)).licence.commercial_use
    ]
    if refused:
        raise UserError(
            "licence: commercial is demanded, and commercial use is not allowed for"
            f" {', '.join(refused)}; leave them out of corpora, or set licence: any"
        )


def _pinned(corpus: Corpus, settings: CorpusSettings) -> Corpus:
    """The corpus at the revision that the configuration names for its data set on the Hub."""
    if settings.revision is None:
        return corpus
    *others, last = corpus.sources
    if not isinstance(last, HubFiles):
        raise UserError(
            f"corpora.{corpus.name}.revision: {corpus.title} does not come from the Hub;"
            " leave the key out"
        )
    pinned = replace(last, revision=settings.revision)
    return replace(corpus, sources=(*others, pinned), revision=settings.revision)

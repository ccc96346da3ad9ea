"""The corpora that a configuration can name."""

from dataclasses import replace
from typing import Final

from configs.schema import RunConfig
from storage.errors import UserError
from storage.fingerprint import digest
from tasks.corpora.base import Corpus
from tasks.corpora.librispeech import LIBRISPEECH
from tasks.corpora.tedlium import TEDLIUM

CORPORA: Final = {corpus.name: corpus for corpus in (LIBRISPEECH, TEDLIUM)}


def corpus_named(name: str) -> Corpus:
    """The corpus of that name; raises `UserError` naming those that there are."""
    if name not in CORPORA:
        raise UserError(f"no corpus {name!r}; there are {', '.join(sorted(CORPORA))}")
    return CORPORA[name]


def corpus_of_run(config: RunConfig, name: str) -> Corpus:
    """A corpus of a run, with the revision of the files that this run takes for it.

    Synthetic files are known by what decides them, and files that a mirror vouches for are another
    revision than the distributor's: neither is ever taken for the published release. Raises
    `UserError` for a corpus that there is not.
    """
    corpus = corpus_named(name)
    if config.synthetic is not None:
        from tasks.demo.corpora import VERSION

        made = config.synthetic.model_dump(mode="json", exclude={"folder"})
        return replace(corpus, revision=f"synthetic-{digest([VERSION, made])[:8]}")
    if config.corpora[name].checksums == "sha256sums":
        return replace(corpus, revision=f"{corpus.revision}-mirror")
    return corpus

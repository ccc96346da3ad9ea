"""The corpora that a configuration can name."""

from typing import Final

from storage.errors import UserError
from tasks.corpora.base import Corpus
from tasks.corpora.librispeech import LIBRISPEECH
from tasks.corpora.tedlium import TEDLIUM

CORPORA: Final = {corpus.name: corpus for corpus in (LIBRISPEECH, TEDLIUM)}


def corpus_named(name: str) -> Corpus:
    """The corpus of that name; raises `UserError` naming those that there are."""
    if name not in CORPORA:
        raise UserError(f"no corpus {name!r}; there are {', '.join(sorted(CORPORA))}")
    return CORPORA[name]

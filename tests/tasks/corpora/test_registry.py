"""What holds for every corpus; it grows with them."""

import pytest

from storage.errors import UserError
from storage.shard import ShardKey
from tasks.corpora.base import Corpus
from tasks.corpora.registry import CORPORA, corpus_named

every_corpus = pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA.keys())


@every_corpus
def test_a_corpus_is_found_by_its_name(corpus: Corpus) -> None:
    assert corpus_named(corpus.name) is corpus
    assert ShardKey.parse(f"{corpus.name}/train/00000").corpus == corpus.name


@every_corpus
def test_a_corpus_can_be_learned_from_and_measured_on(corpus: Corpus) -> None:
    assert {"train", "test"} <= set(corpus.splits.values())


@every_corpus
def test_the_files_of_a_corpus_have_names_of_their_own_and_known_splits(corpus: Corpus) -> None:
    names = [archive.name for archive in corpus.archives]
    assert len(set(names)) == len(names)
    assert {split for archive in corpus.archives for split in archive.splits} <= set(corpus.splits)


@every_corpus
def test_cleaning_an_empty_transcript_gives_no_words(corpus: Corpus) -> None:
    assert not corpus.clean("")


def test_an_unknown_corpus_is_told_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no corpus 'librispeach'; there are .*librispeech"):
        corpus_named("librispeach")

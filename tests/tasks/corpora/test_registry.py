"""Properties of every built-in corpus."""

from dataclasses import replace

import pytest

from configs.schema import CorpusSettings, Label, Publish, RunConfig, Teacher
from storage.errors import UserError
from storage.shard import ShardKey
from tasks.corpora.base import Corpus, NoReference
from tasks.corpora.registry import CORPORA, corpus_named, corpus_of_run, refuse_unlicensed
from tasks.corpora.sources import Archive, Delivery, HubFiles

EVERY = [corpus for forms in CORPORA.values() for corpus in forms.values()]
every_corpus = pytest.mark.parametrize(
    "corpus", EVERY, ids=[f"{corpus.name}/{corpus.form}".rstrip("/") for corpus in EVERY]
)
EXAMPLES = [
    pytest.param(corpus, raw_text, reference, id=f"{corpus.name}-{raw_text}")
    for corpus in EVERY
    for raw_text, reference in corpus.examples.items()
]


def run_of(**corpora: CorpusSettings) -> RunConfig:
    return RunConfig(
        root="data",
        corpora=corpora,
        label=Label(teacher=Teacher(path="teacher")),
        publish=Publish(name="run"),
    )


@every_corpus
def test_a_corpus_is_found_by_its_name_and_form(corpus: Corpus) -> None:
    assert corpus_named(corpus.name, corpus.form) is corpus
    assert corpus_named(corpus.name) is next(iter(CORPORA[corpus.name].values()))
    assert ShardKey.parse(f"{corpus.name}/train/00000").corpus == corpus.name


@every_corpus
def test_a_corpus_of_the_paper_has_training_and_evaluation_splits(corpus: Corpus) -> None:
    roles = set(corpus.splits.values())
    assert roles
    if corpus.paper_hours is not None:
        assert {"train", "test"} <= roles


def test_the_nine_corpora_of_the_paper_are_here() -> None:
    assert {corpus.name for corpus in EVERY if corpus.paper_hours is not None} == {
        "peoples_speech",
        "gigaspeech",
        "common_voice",
        "librispeech",
        "voxpopuli",
        "tedlium",
        "fisher",
        "switchboard",
        "ami",
    }


@every_corpus
def test_a_corpus_of_the_paper_states_how_long_its_utterances_are(corpus: Corpus) -> None:
    if corpus.paper_hours is not None:
        assert 2 < (corpus.mean_utterance_s or 0) < 15


@every_corpus
def test_the_sources_of_a_corpus_have_unique_names_and_known_splits(corpus: Corpus) -> None:
    archives = [source for source in corpus.sources if isinstance(source, Archive)]
    deliveries = [source for source in corpus.sources if isinstance(source, Delivery)]
    names = [source.name for source in (*archives, *deliveries)]
    assert corpus.sources
    assert len(set(names)) == len(names)
    for source in (*archives, *deliveries):
        assert set(source.splits) <= set(corpus.splits)
    for delivery in deliveries:
        assert delivery.files
        assert delivery.expected
        assert delivery.how
    for source in corpus.sources[:-1]:
        assert not isinstance(source, HubFiles)
    if isinstance(source := corpus.sources[-1], HubFiles):
        assert set(source.patterns) <= {*corpus.splits, ""}


@every_corpus
def test_a_corpus_states_the_hours_of_its_splits(corpus: Corpus) -> None:
    assert set(corpus.hours) == set(corpus.splits)
    assert all(hours > 0 for hours in corpus.hours.values())


@pytest.mark.parametrize("name", CORPORA)
def test_the_forms_of_a_corpus_have_different_revisions(name: str) -> None:
    forms = CORPORA[name].values()
    assert len({corpus.revision for corpus in forms}) == len(forms)
    assert len({tuple(corpus.splits.items()) for corpus in forms}) == 1


@pytest.mark.parametrize(("corpus", "raw_text", "reference"), EXAMPLES)
def test_a_transcript_becomes_a_reference_or_a_reason(
    corpus: Corpus, raw_text: str, reference: str | NoReference
) -> None:
    assert corpus.clean(raw_text) == reference


@every_corpus
def test_cleaning_an_empty_transcript_gives_no_words(corpus: Corpus) -> None:
    reference = corpus.clean("")
    assert isinstance(reference, NoReference) or not reference


def test_an_unknown_corpus_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no corpus 'librispeach'; known: .*librispeech"):
        corpus_named("librispeach")


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"librispeech has only one form"):
        corpus_named("librispeech", "hub")
    with pytest.raises(UserError, match=r"no form 'disc'; use hub or release"):
        corpus_named("gigaspeech", "disc")


def test_a_revision_pins_a_data_set_on_the_hub() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    config = run_of(peoples_speech=CorpusSettings(revision=commit))
    corpus = corpus_of_run(config, "peoples_speech")
    assert corpus.revision == commit
    assert isinstance(corpus.sources[-1], HubFiles)
    assert corpus.sources[-1].revision == commit
    with pytest.raises(UserError, match=r"LibriSpeech is not a data set of the Hub"):
        corpus_of_run(run_of(librispeech=CorpusSettings(revision=commit)), "librispeech")


def test_files_verified_by_a_mirror_are_another_revision() -> None:
    config = run_of(librispeech=CorpusSettings(mirror="files", checksums="sha256sums"))
    assert corpus_of_run(config, "librispeech") == replace(
        corpus_named("librispeech"), revision="openslr-12-mirror"
    )


def test_licence_commercial_refuses_corpora_that_forbid_it() -> None:
    config = run_of(
        librispeech=CorpusSettings(), tedlium=CorpusSettings(), gigaspeech=CorpusSettings()
    )
    refuse_unlicensed(config)
    commercial = config.model_copy(update={"licence": "commercial"})
    with pytest.raises(UserError, match=r"tedlium \(CC-BY-NC-ND-3\.0.*gigaspeech") as refused:
        refuse_unlicensed(commercial)
    assert "librispeech" not in str(refused.value)

"""The catalogue of corpora, and its JSON."""

import json

from typer.testing import CliRunner

from flows.commands.app import app
from tasks.corpora.catalogue import read_catalogue
from tasks.corpora.registry import CORPORA


def test_every_corpus_is_listed_with_its_licence() -> None:
    entries = {entry.name: entry for entry in read_catalogue()}
    assert entries.keys() == CORPORA.keys()
    assert entries["tedlium"].licence.name == "CC-BY-NC-ND-3.0"
    assert not entries["tedlium"].licence.commercial_use
    assert entries["librispeech"].hours == sum(CORPORA["librispeech"][""].hours.values())
    assert entries["librispeech"].sources == {"": ("www.openslr.org (7)",)}


def test_every_form_has_a_source() -> None:
    for entry in read_catalogue():
        assert entry.sources.keys() == CORPORA[entry.name].keys()
        assert all(entry.sources.values())
        assert entry.licence.name


def test_every_gated_corpus_says_what_to_sign() -> None:
    for entry in read_catalogue():
        is_gated = any("gated" in name for names in entry.sources.values() for name in names)
        assert not is_gated or entry.licence.to_sign


def test_the_json_has_every_corpus() -> None:
    result = CliRunner().invoke(app, ["corpora", "--json"])
    assert result.exit_code == 0
    entries = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert entries.keys() == CORPORA.keys()
    assert entries["librispeech"]["splits"]["dev-clean"] == "validation"
    assert entries["tedlium"]["licence"]["redistribution"] is True

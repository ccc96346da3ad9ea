"""The ledger of corpora, as a person and as a program read it."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from flows.commands import corpora as ledger
from flows.commands.app import app
from flows.commands.corpora import print_ledger, read_ledger
from tasks.corpora.registry import CORPORA


def test_every_corpus_is_in_it_with_its_licence() -> None:
    entries = {entry.name: entry for entry in read_ledger()}
    assert entries.keys() == CORPORA.keys()
    assert entries["tedlium"].licence.name == "CC-BY-NC-ND-3.0"
    assert not entries["tedlium"].licence.commercial_use
    assert entries["librispeech"].hours == sum(CORPORA["librispeech"][""].hours.values())
    assert entries["librispeech"].sources == {"": ("www.openslr.org (7)",)}


def test_every_form_says_where_it_comes_from() -> None:
    for entry in read_ledger():
        assert entry.sources.keys() == CORPORA[entry.name].keys()
        assert all(entry.sources.values())
        assert entry.licence.name


def test_what_must_be_signed_is_told_of_what_is_gated() -> None:
    for entry in read_ledger():
        is_gated = any("gated" in name for names in entry.sources.values() for name in names)
        assert not is_gated or entry.licence.to_sign


def test_the_table_has_all_of_it_in_a_hundred_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ledger, "OUT", Console(width=100))
    print_ledger(read_ledger())
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 100
    training, evaluation = told.split("For evaluation only")
    for entry in read_ledger():
        assert entry.name in (training if entry.is_for_training else evaluation)
        assert entry.licence.to_sign[:40] in told


def test_a_program_reads_the_same() -> None:
    told = CliRunner().invoke(app, ["corpora", "--json"])
    assert told.exit_code == 0
    entries = {entry["name"]: entry for entry in json.loads(told.stdout)}
    assert entries.keys() == CORPORA.keys()
    assert entries["librispeech"]["splits"]["dev-clean"] == "validation"
    assert entries["tedlium"]["licence"]["redistribution"] is True

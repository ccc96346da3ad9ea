"""The files of marks: what is written, removed and kept."""

from pathlib import Path

import pytest

from configs.marks import Mark, marks_text, read_marks
from flows.browse.marks import MarkFiles
from storage.errors import UserError


def test_marks_are_set_and_removed_and_the_last_ones_returned(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    files = MarkFiles({"ami": path, "tedlium": path})
    assert files.read() == {}
    a, b = ("ami", "a"), ("tedlium", "b")
    assert files.change([(a, "exclude"), (b, "keep")]) == {a: None, b: None}
    assert files.change([(a, "keep")]) == {a: "exclude"}
    assert files.read() == {a: "keep", b: "keep"}
    assert files.change([(a, None), (b, "exclude")]) == {a: "keep", b: "keep"}
    assert read_marks(path) == (Mark(corpus="tedlium", id="b", mark="exclude"),)
    assert [one.name for one in tmp_path.iterdir()] == ["marks.jsonl"]


def test_what_others_write_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    files = MarkFiles({"ami": path})
    files.change([(("ami", "a"), "keep")])
    other = Mark(corpus="fisher", id="x", mark="exclude")
    path.write_text(path.read_text() + marks_text([other]))
    files.change([(("ami", "b"), "keep")])
    assert [one.id for one in read_marks(path)] == ["a", "x", "b"]
    assert files.read() == {("ami", "a"): "keep", ("ami", "b"): "keep"}


def test_a_mark_without_a_corpus_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    path.write_text(marks_text([Mark(id="a", mark="keep")]))
    files = MarkFiles({"ami": path})
    assert files.change([(("ami", "a"), None)]) == {("ami", "a"): "keep"}
    assert files.read() == {}


def test_a_mark_without_a_corpus_stays_with_the_others_when_one_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    path.write_text(marks_text([Mark(id="a", mark="keep")]))
    files = MarkFiles({"ami": path, "tedlium": path, "fisher": tmp_path / "other.jsonl"})
    files.change([(("ami", "a"), None)])
    assert files.read() == {("tedlium", "a"): "keep"}
    assert read_marks(path) == (Mark(corpus="tedlium", id="a", mark="keep"),)


def test_a_corpus_can_have_a_file_of_its_own(tmp_path: Path) -> None:
    files = MarkFiles({"ami": tmp_path / "one", "tedlium": tmp_path / "other"})
    files.change([(("ami", "a"), "keep"), (("tedlium", "a"), "exclude")])
    assert [one.mark for one in read_marks(tmp_path / "one")] == ["keep"]
    assert [one.mark for one in read_marks(tmp_path / "other")] == ["exclude"]


def test_a_file_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a note")
    with pytest.raises(UserError, match=r"line 1 of .*notes\.txt is no mark"):
        MarkFiles({"ami": tmp_path / "notes.txt"}).check()
    with pytest.raises(UserError, match="name another file with --marks"):
        MarkFiles({"ami": tmp_path / "none" / "marks.jsonl"}).check()

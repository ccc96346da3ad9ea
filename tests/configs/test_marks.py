"""The file of marks: which lines count for a corpus, and what is refused."""

from pathlib import Path

import pytest

from configs.marks import Mark, MarkedIds, Marks, marks_text, read_marks


def written(folder: Path, text: str) -> str:
    path = folder / "marks.jsonl"
    path.write_text(text)
    return str(path)


LINES = """
{"corpus": "ami", "id": "a", "mark": "exclude"}
{"corpus": "ami", "id": "b", "mark": "keep"}
{"corpus": "tedlium", "id": "b", "mark": "exclude"}

{"id": "c", "mark": "keep"}
{"corpus": "ami", "id": "a", "mark": "keep"}
"""


def test_the_last_line_on_an_id_counts_and_only_those_of_the_corpus(tmp_path: Path) -> None:
    marks = Marks(file=written(tmp_path, LINES))
    assert marks.of("ami") == MarkedIds(keep=("a", "b", "c"))
    assert marks.of("tedlium") == MarkedIds(exclude=("b",), keep=("c",))
    assert marks.of("other") == MarkedIds(keep=("c",))


def test_the_lists_override_the_file(tmp_path: Path) -> None:
    marks = Marks(file=written(tmp_path, LINES), exclude=("c", "d"))
    assert marks.of("ami") == MarkedIds(exclude=("c", "d"), keep=("a", "b"))


def test_an_excluded_utterance_is_excluded_whatever_its_window_is() -> None:
    marked = MarkedIds(exclude=("a",), keep=("w", "b"))
    assert (marked.mark("a", "w"), marked.mark("c", "w"), marked.mark("c", None)) == (
        "exclude",
        "keep",
        None,
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    marks = (Mark(corpus="ami", id='ü " \\ \u2028', mark="keep"), Mark(id="b", mark="exclude"))
    assert read_marks(written(tmp_path, marks_text(marks))) == marks
    assert read_marks(written(tmp_path, "")) == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": "a"}', r"line 1 of .* is no mark \(mark: Field required\)"),
        ('{"id": "a", "mark": "maybe"}', r"\(mark: Input should be 'exclude' or 'keep'\)"),
        ('{"id": "a", "mark": "keep", "split": "x"}', r"\(split: Extra inputs"),
        ("a,keep", r"\(line: Invalid JSON"),
        ("[]", r"\(line: Input should be an object"),
    ],
)
def test_another_line_is_refused(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_marks(written(tmp_path, line))


def test_a_missing_file_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`touch .*/none\.jsonl` makes one"):
        Marks(file=str(tmp_path / "none.jsonl"))
    with pytest.raises(ValueError, match="cannot read the file of marks"):
        Marks(file=str(tmp_path))


def test_an_id_cannot_be_in_both_lists() -> None:
    with pytest.raises(ValueError, match="'a' is in exclude and in keep"):
        Marks(exclude=("a", "b"), keep=("a",))

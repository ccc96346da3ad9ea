"""The vocabulary of a teacher, and one-line errors for unreadable tokenizers."""

import json
from pathlib import Path

import pytest

from configs.schema import Teacher
from storage.errors import UserError
from tasks.score.vocabulary import Vocabulary, vocabulary

TEACHER = Path(__file__).parents[3] / "tasks" / "demo" / "teacher"


def written(folder: Path, **changes: object) -> Teacher:
    described = {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": [], **changes}
    (folder / "tokenizer.json").write_text(json.dumps(described))
    return Teacher(path=str(folder))


def test_a_released_layout_is_read(tmp_path: Path) -> None:
    """Released vocabularies also list the end token among the text tokens."""
    found = vocabulary(
        written(
            tmp_path,
            model={"vocab": {"\u0120the": 0, "\u0120boat": 1, "<|endoftext|>": 2}},
            added_tokens=[
                {"id": 3, "content": "<|startoftranscript|>"},
                {"id": 7, "content": "<|notimestamps|>"},
            ],
        )
    )
    assert found.text[:2] == ("\u0120the", "\u0120boat")
    assert found.zero_time_id == 8
    assert found.num_prompt_tokens([3, 4, 5, 8, 0, 9, 2]) == 3
    assert found.num_prompt_tokens([3, 4, 5, 7, 0, 2]) == 4
    assert found.num_prompt_tokens([3, 4, 5, 7, 2]) == 4
    assert found.is_timed([3, 4, 5, 8, 0]) and not found.is_timed([3, 4, 5, 7, 0])


def test_a_teacher_that_is_not_a_whisper_has_no_timestamps(tmp_path: Path) -> None:
    found = vocabulary(written(tmp_path))
    assert found == Vocabulary(("a", "b"), None)
    assert not found.is_timed([0, 1])


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "{}",
        "[]",
        '{"model": 3}',
        '{"model": {"vocab": [1]}, "added_tokens": []}',
        '{"model": {"vocab": {"a": null}}, "added_tokens": []}',
        '{"model": {"vocab": {"a": 1.5}}, "added_tokens": []}',
        '{"model": {"vocab": {"a": 1}}, "added_tokens": [{"content": [], "id": 1}]}',
        "[" * 100_000,
    ],
)
def test_an_unreadable_tokenizer_is_a_user_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UserError, match=r"tokenizer\.json is not a readable tokenizer"):
        vocabulary(Teacher(path=str(tmp_path)))


def test_the_demo_vocabulary_is_complete() -> None:
    assert len(vocabulary(Teacher(path=str(TEACHER))).text) == 416

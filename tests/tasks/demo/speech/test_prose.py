"""Words formatted as a written sentence."""

import pytest

from tasks.demo.speech.prose import as_prose


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("i saw the boat", "I saw the boat."),
        ("doctor green said i can't", "Dr Green said I can't."),
        ("twenty five horses in it", "Twenty five horses in it."),
        ("", ""),
    ],
)
def test_words_become_a_written_sentence(text: str, prose: str) -> None:
    assert as_prose(text) == prose

import pytest

from tasks.text.alignment import align
from tasks.text.comparison import count_word_errors


def shown(reference, hypothesis):
    return " ".join(map(str, align(reference, hypothesis)))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("the cat sat", "the cat sat", "the cat sat"),
        ("the cat sat", "the hat sat", "the [-cat-]{+hat+} sat"),
        ("the cat sat", "cat sat", "[-the-] cat sat"),
        ("the cat", "the cat sat down", "the cat {+sat down+}"),
        ("the cat", "", "[-the cat-]"),
        ("", "thank you", "{+thank you+}"),
        ("", "", ""),
    ],
)
def test_differing_words_are_marked(reference, hypothesis, expected):
    assert shown(reference, hypothesis) == expected


def test_the_alignment_agrees_with_the_error_counts():
    reference, hypothesis = "a b c d e f g", "b x d d e g h i"
    [errors] = count_word_errors([reference], [hypothesis])
    counted = {"hit": 0, "substitution": 0, "deletion": 0, "insertion": 0}
    for one in align(reference, hypothesis):
        counted[one.kind] += len((one.reference or one.hypothesis).split())
    assert list(counted.values()) == [
        errors.hits, errors.substitutions, errors.deletions, errors.insertions,
    ]  # fmt: skip

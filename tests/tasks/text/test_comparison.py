import hashlib
import math
import subprocess
import sys

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import Label, Score, Teacher
from tasks.text.comparison import (
    NORMALISER_VERSION,
    Comparison,
    WordErrors,
    character_edits,
    character_error_percents,
    comparison_of,
    count_word_errors,
    normaliser,
)

GOLDEN_TEXTS = (
    "Mr. Smith's colour isn't grey!",
    "I'll pay twenty-one dollars (laughs) um at the theatre [noise], on the 2nd of May",
    "one oh one, ninety-nine percent; 1,000.50 and £20 million",
    "Café naïve — we organise & travelled",
    "hmm, uh",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Smith's colour isn't grey!", "mister smith is color is not gray"),
        ("twenty-one dollars, (laughs) um", "$21"),
        ("the THEATRE [noise] on the 2nd", "the theater on the 2nd"),
        ("hmm, uh", ""),
    ],
)
def test_english_has_american_spelling_and_digits(text, expected):
    assert normaliser("english")(text) == expected


def test_basic_strips_case_and_punctuation_only():
    assert normaliser("basic")(" Größe, [lacht] zwei  Farben! ") == "größe zwei farben"


def test_setting_the_language_keeps_the_english_normaliser():
    """Defect 6: with the basic normaliser this correct label would have a WER of 33 % or more."""
    normalise = normaliser("english")
    reference, hypothesis = normalise("mister brown won't"), normalise("Mr. Brown will not")
    assert count_word_errors([reference], [hypothesis])[0].wer_percent == 0.0


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ({"language": "en"}, Comparison("english", "en")),
        ({"language": "de"}, Comparison("basic", "de")),
        ({"language": "de", "task": "translate"}, Comparison("english", "en")),
        ({"language": "ja"}, Comparison("letters", "ja")),
        ({"language": "ja", "task": "translate"}, Comparison("english", "en")),
    ],
)
def test_the_language_of_the_labels_chooses_the_normaliser(label, expected):
    """Defect 6: English keeps its normaliser if the language is set explicitly."""
    label = Label(teacher=Teacher(path="x"), **label)
    assert comparison_of(Score(), label) == expected
    assert comparison_of(Score(normaliser="basic"), label).normaliser == "basic"


def test_languages_without_spaces_are_compared_by_letter():
    normalise = normaliser("letters")
    texts = [
        normalise("\u4eca\u65e5\u306f\u3001\u6674\u308c\u3002"),
        normalise("\u4eca\u65e5 \u306f\u96e8"),
    ]
    assert texts[0] == "\u4eca \u65e5 \u306f \u6674 \u308c"
    [errors] = count_word_errors(texts[:1], texts[1:])
    assert errors.wer_percent == 40.0
    assert Comparison("letters", "zh").has_spaces is False


def test_normalised_texts_change_only_with_the_version():
    """A change here, by us or a library, must raise NORMALISER_VERSION and with it this digest."""
    golden = {
        name: hashlib.sha256(
            "\n".join(normaliser(name)(text) for text in GOLDEN_TEXTS).encode()
        ).hexdigest()[:16]
        for name in ("english", "basic")
    }
    assert (NORMALISER_VERSION, golden) == (
        1,
        {"english": "fed8160c2933382c", "basic": "fe72ad4b4ea1c6ad"},
    )


def test_counting_needs_no_torch():
    code = "import sys; from tasks.text.comparison import normaliser; normaliser('english')('x')"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_errors_are_counted_for_each_pair():
    counted = count_word_errors(["a b c d", "a b", "x"], ["a c e d", "a b z z", ""])
    assert counted[0].num_reference_words == 4
    assert counted[0].wer_percent == 50.0
    assert counted[1] == WordErrors(hits=2, insertions=2)
    assert counted[1].wer_percent == 100.0
    assert counted[2] == WordErrors(deletions=1)


def test_an_empty_reference_counts_insertions_and_has_no_rate():
    counted = count_word_errors(["", "a", " "], ["b c", "a", ""])
    assert counted == [WordErrors(insertions=2), WordErrors(hits=1), WordErrors()]
    assert [errors.wer_percent for errors in counted] == [None, 0.0, None]
    rates = character_error_percents(["", "a"], ["b", "a"])
    assert math.isnan(rates[0]) and rates[1] == 0.0


def test_characters_and_their_edits_are_counted_for_each_pair():
    num_chars, edits = character_edits(["ab cd", "", "abc"], ["abcd", "ab", "abc"])
    assert (num_chars.tolist(), edits.tolist()) == ([5, 0, 3], [1, 2, 0])


def test_character_errors_count_spaces():
    assert character_error_percents(["ab cd"], ["abcd"]).tolist() == [20.0]


def test_rates_add_up_over_utterances_by_words_not_by_means():
    total = sum(count_word_errors(["a b c d", "a"], ["a b c d", "b"]), start=WordErrors())
    assert total.wer_percent == 20.0


def test_unequal_numbers_of_texts_are_refused():
    with pytest.raises(ValueError, match="2 references for 1 hypotheses"):
        count_word_errors(["a", "b"], ["a"])


words = st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.tuples(words, words), max_size=5))
def test_hits_substitutions_and_deletions_are_the_reference(pairs):
    counted = count_word_errors([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    for errors, (reference, hypothesis) in zip(counted, pairs, strict=True):
        assert errors.num_reference_words == len(reference.split())
        assert errors.hits + errors.substitutions + errors.insertions == len(hypothesis.split())


@settings(deadline=None)
@given(st.lists(st.tuples(words, words), max_size=5))
def test_the_counts_are_those_of_jiwer(pairs):
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    counted = count_word_errors(references, hypotheses)
    rates = character_error_percents(references, hypotheses)
    for errors, rate, reference, hypothesis in zip(
        counted, rates, references, hypotheses, strict=True
    ):
        if not reference:
            continue
        alignment = jiwer.process_words(reference, hypothesis)
        assert errors == WordErrors(
            alignment.hits, alignment.substitutions, alignment.deletions, alignment.insertions
        )
        assert np.isclose(rate, 100 * jiwer.cer(reference, hypothesis))

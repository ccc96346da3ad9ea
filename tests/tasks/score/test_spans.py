"""Splitting labels among utterances: unambiguous and ambiguous cuts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.score.spans import Span, spans, text_positions, word_cuts
from tasks.text.comparison import normaliser

ENGLISH = normaliser("english")
TEXT_IDS = {
    f"{blank}{word}": number
    for number, (blank, word) in enumerate(
        (blank, word) for word in "abcdefgh" for blank in ("", "\u0120")
    )
}
VOCABULARY = [*TEXT_IDS, "\u0120a\u0120b", "\u00c3", "\u00a9"]
END = len(VOCABULARY)
START, ZERO = END + 1, END + 9
PROMPT = [START, START + 1, START + 5]


def cuts(references: list[str], label: str) -> list[tuple[int, bool]]:
    found = word_cuts(references, label.split(), ENGLISH)
    return [(one.word, one.is_ambiguous) for one in found]


@pytest.mark.parametrize(
    ("references", "label", "expected"),
    [
        (["a b", "c d"], "a b c d", [(2, False)]),
        (["a b", "c d"], "A b, C d.", [(2, False)]),
        (["a b", "c d"], "a x c d", [(2, False)]),
        (["a b", "c d"], "a b d", [(2, False)]),
        (["a b", "c d"], "a b x c d", [(2, True)]),  # x may belong to either
        (["a b", "c d"], "a b um c d", [(3, True)]),  # normalises to nothing; may belong to either
        (["a b", "b c"], "a b c", [(1, True)]),  # one of the two b's is missing
        (["a b", "b c"], "a b b c", [(2, False)]),
        (["yes", "yes yes"], "yes yes yes", [(1, False)]),
        (["a", "", "b"], "a b", [(1, False), (1, False)]),
        (["a b", "c d"], "", [(0, False)]),
        (["a b", "c d"], "a b", [(2, False)]),
        (["a b", "c d"], "c d", [(0, False)]),
        (["twenty two boats", "it is late"], "22 boats it's late", [(2, False)]),
        (["it is", "not late"], "it isn't late", [(1, True)]),  # one word covers both
        (["e f", "g h"], "a b c d", [(2, False)]),
    ],
)
def test_a_cut_is_unambiguous_only_if_no_other_is_as_good(
    references: list[str], label: str, expected: list[tuple[int, bool]]
) -> None:
    assert cuts(references, label) == expected


words = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


@settings(deadline=None)
@given(st.lists(words, min_size=2, max_size=4))
def test_an_exact_label_is_cut_where_it_was_joined(references: list[str]) -> None:
    label = " ".join(" ".join(references).split())
    found = cuts(references, label)
    assert found == [
        (sum(len(one.split()) for one in references[: index + 1]), False)
        for index in range(len(references) - 1)
    ]


@settings(deadline=None)
@given(st.lists(words, min_size=2, max_size=4), words)
def test_cuts_increase_and_stay_within_the_label(references: list[str], label: str) -> None:
    sure = [index for index, is_ambiguous in cuts(references, label) if not is_ambiguous]
    assert sure == sorted(sure)
    assert all(0 <= index <= len(label.split()) for index in sure)


def tokens(text: str, *, is_timed: bool = False) -> list[int]:
    """Each word as a token with its leading space; `|` is a pair of timestamps."""
    made: list[int] = []
    for word in text.split():
        made += [ZERO + 3, ZERO + 3] if word == "|" else [TEXT_IDS[f"\u0120{word}"]]
    around = [ZERO, *made, ZERO + 9] if is_timed else made
    return [*PROMPT, *around, END]


def found_spans(references: list[str], label: str, sequence: list[int]) -> list[Span]:
    return spans(references, label, sequence, ENGLISH, VOCABULARY)


def test_spans_have_the_text_of_each_utterance() -> None:
    first, last = found_spans(["a b", "c"], "a b c", tokens("a b c"))
    assert (first.token_start, first.token_end, first.text) == (3, 5, "a b")
    assert (last.token_start, last.token_end, last.text) == (5, 6, "c")
    assert (first.is_start_ambiguous, last.is_end_ambiguous) == (False, False)


def test_timestamps_between_two_utterances_belong_to_neither() -> None:
    sequence = tokens("a b | c d", is_timed=True)
    first, last = found_spans(["a b", "c d"], "a b c d", sequence)
    words = [TEXT_IDS["\u0120a"], TEXT_IDS["\u0120b"]]
    assert sequence[first.token_start : first.token_end] == words
    assert sequence[last.token_start - 1] == ZERO + 3
    inside = found_spans(["a b c", "d"], "a b c d", sequence)[0]
    assert sequence[inside.token_start : inside.token_end].count(ZERO + 3) == 2


def test_an_utterance_missing_from_the_label_has_an_empty_span() -> None:
    first, last = found_spans(["a b", "c"], "a b", tokens("a b"))
    assert (first.token_start, first.token_end) == (3, 5)
    assert (last.token_start, last.token_end, last.text) == (5, 5, "")


def test_a_token_across_a_boundary_makes_it_ambiguous() -> None:
    sequence = [*PROMPT, VOCABULARY.index("\u0120a\u0120b"), TEXT_IDS["\u0120c"], END]
    first, last = found_spans(["a", "b c"], "a b c", sequence)
    assert first.is_end_ambiguous and last.is_start_ambiguous
    assert (first.text, last.text) == ("a", "b c")


def test_multi_byte_characters_are_counted_in_bytes() -> None:
    e_acute = [VOCABULARY.index("\u00c3"), VOCABULARY.index("\u00a9")]
    sequence = [*PROMPT, TEXT_IDS["\u0120a"], *e_acute, TEXT_IDS["\u0120b"], END]
    first, last = found_spans(["a\u00e9", "b"], "a\u00e9 b", sequence)
    assert (first.token_start, first.token_end) == (3, 6)
    assert (last.token_start, last.token_end, last.is_start_ambiguous) == (6, 7, False)


def test_invalid_utf8_makes_every_boundary_ambiguous() -> None:
    sequence = [*PROMPT, TEXT_IDS["\u0120a"], VOCABULARY.index("\u00c3"), TEXT_IDS["\u0120b"], END]
    first, last = found_spans(["a", "b"], "a\ufffd b", sequence)
    assert first.is_end_ambiguous and last.is_start_ambiguous


def test_without_tokens_only_words_are_split() -> None:
    first, last = found_spans(["a b", "c"], "a b c", [])
    assert (first.token_start, last.token_end) == (0, 0)
    assert not first.is_end_ambiguous


def test_without_spaces_each_character_is_a_word() -> None:
    text = "\u4eca\u65e5\u6674\u308c"
    alphabet = {byte: chr(0x100 + byte) for byte in set(text.encode())}
    vocabulary = ["".join(alphabet[byte] for byte in letter.encode()) for letter in text]
    sequence = [5, 6, 0, 1, 2, 3, 4]
    first, last = spans(
        [text[:2], text[2:]], text, sequence, normaliser("letters"), vocabulary, has_spaces=False
    )
    assert (first.text, last.text) == (text[:2], text[2:])
    assert (first.token_end, last.token_start, last.is_start_ambiguous) == (4, 4, False)


def test_text_tokens_have_ids_below_special_tokens() -> None:
    assert text_positions([*PROMPT, ZERO, 1, 2, ZERO + 4, END]) == [4, 5]
    assert text_positions([]) == []

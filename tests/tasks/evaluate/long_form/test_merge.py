"""Overlapping token sequences are merged as in transformers."""

from hypothesis import given
from hypothesis import strategies as st
from transformers.models.whisper.tokenization_whisper import _find_longest_common_sequence

from tasks.evaluate.long_form.merge import merge_overlapping

TOKENS = st.lists(st.integers(0, 5), min_size=1, max_size=12)


def test_the_middle_of_the_overlap_divides_two_chunks():
    assert merge_overlapping([[1, 2, 3, 4, 5], [3, 4, 5, 6, 7]]) == [1, 2, 3, 4, 5, 6, 7]


def test_each_chunk_is_trusted_on_its_side_of_the_overlap():
    assert merge_overlapping([[1, 2, 3, 4, 9], [8, 3, 4, 5, 6]]) == [1, 2, 3, 4, 5, 6]


def test_chunks_without_two_common_tokens_are_concatenated():
    assert merge_overlapping([[1, 2, 3], [3, 4]]) == [1, 2, 3, 3, 4]


def test_empty_chunks_are_ignored():
    assert merge_overlapping([]) == merge_overlapping([[], []]) == []
    assert merge_overlapping([[], [1, 2], [], [1, 2, 3], []]) == [1, 2, 3]


@given(st.lists(TOKENS, min_size=1, max_size=5))
def test_any_chunks_are_merged_as_in_transformers(chunks):
    assert merge_overlapping(chunks) == _find_longest_common_sequence(chunks)


@given(st.lists(st.integers(0, 9), min_size=20, max_size=60), st.integers(0, 3))
def test_overlapping_parts_of_a_sequence_are_merged_as_in_transformers(tokens, damage):
    chunks = [tokens[start : start + 12] for start in range(0, len(tokens) - 6, 6)]
    chunks = [[*chunk[:damage], 10, *chunk[damage + 1 :]] for chunk in chunks]
    assert merge_overlapping(chunks) == _find_longest_common_sequence(chunks)

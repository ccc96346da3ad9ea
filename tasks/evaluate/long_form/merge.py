"""Merges the tokens of overlapping chunks; deals with token ids only.

The rules are those of the automatic-speech-recognition pipeline of transformers for Whisper
without timestamps (`_find_longest_common_sequence` in models/whisper/tokenization_whisper.py).
"""

from collections.abc import Iterable, Sequence

import numpy as np


def merge_overlapping(chunks: Iterable[Sequence[int]]) -> list[int]:
    """The tokens of all chunks without what neighbours have in common; empty chunks are ignored.

    Two neighbours are shifted against each other, and where most of the tokens match, the left half
    of the overlap is taken from the first and the right half from the second. Without two matching
    tokens they are concatenated.
    """
    merged: list[int] = []
    left: Sequence[int] = []
    for right in chunks:
        if not right:
            continue
        left_middle, right_middle = _middles(left, right)
        merged += left[:left_middle]
        left = right[right_middle:]
    return [*merged, *left]


def _middles(left: Sequence[int], right: Sequence[int]) -> tuple[int, int]:
    """Where to leave the left tokens and to enter the right ones."""
    left_ids, right_ids = np.asarray(left), np.asarray(right)
    best, middles = 0.0, (len(left), 0)
    for shift in range(1, len(left) + len(right)):
        left_start, left_end = (
            max(0, len(left) - shift),
            min(len(left), len(left) + len(right) - shift),
        )
        right_start, right_end = max(0, shift - len(left)), min(len(right), shift)
        num_equal = int(
            np.count_nonzero(left_ids[left_start:left_end] == right_ids[right_start:right_end])
        )
        # of equally good overlaps the longest
        score = num_equal / shift + shift / 10_000
        if num_equal > 1 and score > best:
            best = score
            middles = (left_start + left_end) // 2, (right_start + right_end) // 2
    return middles

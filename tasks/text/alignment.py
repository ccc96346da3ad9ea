"""Word alignment of a reference and a hypothesis, for display."""

from dataclasses import dataclass
from typing import Final, Literal

from rapidfuzz.distance import Levenshtein

Kind = Literal["hit", "substitution", "deletion", "insertion"]

_KINDS: Final[dict[str, Kind]] = {
    "equal": "hit",
    "replace": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}


@dataclass(frozen=True, slots=True)
class AlignmentChunk:
    """Consecutive words with the same kind of edit; a side without words is empty."""

    kind: Kind
    reference: str
    hypothesis: str

    def __str__(self) -> str:
        r"""Readable without colour, in the notation of `wdiff`.

        >>> str(AlignmentChunk("substitution", "red house", "read house"))
        '[-red house-]{+read house+}'
        """
        if self.kind == "hit":
            return self.reference
        deleted = f"[-{self.reference}-]" if self.reference else ""
        inserted = f"{{+{self.hypothesis}+}}" if self.hypothesis else ""
        return deleted + inserted


def align(reference: str, hypothesis: str) -> list[AlignmentChunk]:
    """Minimum-edit alignment of two normalised texts; the chunks cover both from end to end.

    Of several optimal alignments it is the one that `tasks.text.comparison` counts.
    """
    expected, words = reference.split(), hypothesis.split()
    return [
        AlignmentChunk(
            _KINDS[one.tag],
            " ".join(expected[one.src_start : one.src_end]),
            " ".join(words[one.dest_start : one.dest_end]),
        )
        for one in Levenshtein.opcodes(expected, words)
    ]

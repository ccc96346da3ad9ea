"""Word alignment of a reference and a hypothesis, for display."""

from dataclasses import dataclass
from typing import Final, Literal

import jiwer

Kind = Literal["hit", "substitution", "deletion", "insertion"]

_KINDS: Final[dict[str, Kind]] = {
    "equal": "hit",
    "substitute": "substitution",
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
    """Minimum-edit alignment of two normalised texts; the chunks cover both from end to end."""
    reference_words, hypothesis_words = reference.split(), hypothesis.split()
    if not reference_words:  # jiwer requires a reference
        return [AlignmentChunk("insertion", "", hypothesis)] if hypothesis_words else []
    output = jiwer.process_words(reference, hypothesis)
    return [
        AlignmentChunk(
            _KINDS[chunk.type],
            " ".join(reference_words[chunk.ref_start_idx : chunk.ref_end_idx]),
            " ".join(hypothesis_words[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in output.alignments[0]
    ]

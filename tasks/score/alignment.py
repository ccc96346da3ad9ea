"""The words of a reference and a hypothesis side by side, as they were counted."""

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
    """Neighbouring words that fared alike; those of one side are empty where they have none."""

    kind: Kind
    reference: str
    hypothesis: str

    def __str__(self) -> str:
        r"""Readable without colour, as `wdiff` writes.

        >>> str(AlignmentChunk("substitution", "red house", "read house"))
        '[-red house-]{+read house+}'
        """
        if self.kind == "hit":
            return self.reference
        gone = f"[-{self.reference}-]" if self.reference else ""
        come = f"{{+{self.hypothesis}+}}" if self.hypothesis else ""
        return gone + come


def align(reference: str, hypothesis: str) -> list[AlignmentChunk]:
    """The alignment of least edits of two normalised texts, from the first word to the last."""
    expected, heard = reference.split(), hypothesis.split()
    if not expected:  # which the aligner refuses
        return [AlignmentChunk("insertion", "", hypothesis)] if heard else []
    output = jiwer.process_words(reference, hypothesis)
    return [
        AlignmentChunk(
            _KINDS[chunk.type],
            " ".join(expected[chunk.ref_start_idx : chunk.ref_end_idx]),
            " ".join(heard[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in output.alignments[0]
    ]

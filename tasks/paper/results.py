"""What the paper reports of its teacher and its student (arXiv 2311.00430).

Teacher: Whisper large-v2. Student: distil-large-v2, with 2 of 32 decoder layers. Rates are word
error rates in percent, speeds relative to the teacher.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pair:
    """A figure of the teacher, and of the student."""

    teacher: float
    student: float

    @property
    def difference(self) -> float:
        """The student's less the teacher's."""
        return self.student - self.teacher

    @property
    def change_percent(self) -> float:
        """The difference in percent of the teacher's."""
        return 100 * self.difference / self.teacher


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure of both models, and the table that it is from."""

    table: str
    of: Pair


MILLION_PARAMETERS: Final = Figure(table="Table 5", of=Pair(1550, 756))

SHORT_SPEED: Final = Figure(table="Table 5", of=Pair(1.0, 5.8))
"""Single utterances at batch size 1."""

LONG_SPEED: Final = Figure(table="Table 5", of=Pair(1.0, 5.8))
"""Chunked long form at batch size 16."""

OUT_OF_DOMAIN_WER: Final = Figure(table="Table 5", of=Pair(9.1, 10.1))
"""Single utterances: CHiME-4, Earnings-22, FLEURS, SPGISpeech."""

IN_DOMAIN_WER: Final = Figure(table="Table 16", of=Pair(13.9, 12.8))
"""Single utterances: eleven sets, of the corpora in training but for CallHome."""

REFERENCE_WER: Final = Figure(table="Table 6", of=Pair(10.7, 10.5))
"""GigaSpeech, the set in domain with which others are compared for effective robustness."""

LONG_WER: Final = Figure(table="Table 5", of=Pair(11.7, 11.6))
"""Long form, both chunked: Earnings-21, Earnings-22, Meanwhile, Rev 16."""

SEQUENTIAL_LONG_WER: Final = Figure(table="Table 7", of=Pair(10.4, 11.6))
"""The same sets, the teacher sequential and the student chunked."""

SEQUENTIAL_LONG_SPEED: Final = Figure(table="Table 7", of=Pair(1.0, 57.5))
"""Long form, the teacher sequential and the student chunked."""

REPEATED_5GRAMS: Final = Figure(table="Table 8", of=Pair(23792, 18503))
"""Long form, chunked: 5-Dup."""

INSERTION_RATE: Final = Figure(table="Table 8", of=Pair(3.3, 2.1))
"""Long form, chunked: IER in percent."""

SUBSTITUTION_RATE: Final = Figure(table="Table 8", of=Pair(3.9, 5.3))
"""Long form, chunked: SER in percent."""

DELETION_RATE: Final = Figure(table="Table 8", of=Pair(4.5, 4.2))
"""Long form, chunked: DER in percent."""

SPECULATIVE_SPEED: Final[Mapping[int, float]] = {1: 2.0, 4: 1.3, 16: 0.8}
"""The teacher with the student as its draft, by batch size (Tables 9 and 22)."""


SHORT_WER_BY_SET: Final[Mapping[str, Pair]] = {
    "ami/ihm-test": Pair(16.9, 14.7),
    "ami/sdm-test": Pair(36.5, 33.9),
    "hub5_2000/callhome": Pair(17.5, 13.5),
    "common_voice/test": Pair(10.4, 12.9),
    "gigaspeech/test": Pair(10.7, 10.5),
    "librispeech/test-clean": Pair(3.2, 3.6),
    "librispeech/test-other": Pair(5.6, 6.9),
    "peoples_speech/test": Pair(18.6, 16.5),
    "hub5_2000/switchboard": Pair(14.2, 11.2),
    "tedlium/test": Pair(12.0, 9.6),
    "voxpopuli/test": Pair(7.3, 8.0),
    "earnings22/test": Pair(16.6, 16.9),
    "fleurs/test": Pair(4.2, 6.3),
    "spgispeech/test": Pair(3.8, 3.3),
}
"""Single utterances, by set as it is called here (Table 16)."""

CHUNKED_WER_BY_SET: Final[Mapping[str, Pair]] = {
    "tedlium_long_form/test": Pair(4.4, 3.7),
    "earnings21/test": Pair(11.8, 11.2),
    "earnings22/test": Pair(15.1, 15.1),
}
"""Long form, both chunked (Tables 17 and 18)."""

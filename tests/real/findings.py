"""What a session found: a table of the corpora, and each text that differs from the reference."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

import pytest

from tasks.whisper.tokens import SpecialTokens
from tests.real.results import LabelledWindow, word_errors

FINDINGS: Final = pytest.StashKey["Findings"]()

_WINDOW_S: Final = 30.0
_MAX_MISSING_S: Final = 1.0
_LABELS: Final = (
    ("corpus", 15),
    ("windows", 7),
    ("fill %", 6),
    ("kept %", 6),
    ("WER %", 6),
    ("transformers", 12),
    ("equal", 9),
    ("sampled", 7),
    ("early ends", 10),
)
_SHOWN_WORDS: Final = 6


@dataclass
class Findings:
    """Rows of the table, and lines below it."""

    is_full: bool
    rows: list[tuple[str, ...]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add_labels(
        self,
        windows: Sequence[LabelledWindow],
        compared: Sequence[tuple[LabelledWindow, str]],
        special: SpecialTokens,
    ) -> None:
        """A row for each corpus, with the WER of compared windows; a line for each difference."""
        for corpus in dict.fromkeys(one.corpus for one in windows):
            labelled = [one for one in windows if one.corpus == corpus]
            pairs = [(window, text) for window, text in compared if window.corpus == corpus]
            with_reference = [(one, text) for one, text in pairs if one.reference]
            references = [one.reference for one, _ in with_reference]
            ours = word_errors(references, [one.text for one, _ in with_reference]).wer_percent
            theirs = word_errors(references, [text for _, text in with_reference]).wer_percent
            num_equal = sum(window.text == text for window, text in pairs)
            total_s = sum(one.duration_s for one in labelled)
            row = (
                corpus,
                f"{len(labelled):,}",
                f"{100 * total_s / (len(labelled) * _WINDOW_S):.1f}",
                f"{kept_percent(labelled):.1f}",
                _percent(ours),
                _percent(theirs),
                f"{num_equal}/{len(pairs)}",
                str(sum(one.temperature > 0 for one in labelled)),
                str(len(early_ends(labelled, special))),
            )
            self.rows.append(row)
        for window, text in compared:
            if window.text != text:
                self.lines.append(
                    f"{window.corpus} {window.window_id}: {_difference(window.text, text)}"
                )


def kept_percent(windows: Sequence[LabelledWindow]) -> float:
    """The share of the labelled hours that the filter keeps."""
    kept_s = sum(one.duration_s for one in windows if one.is_kept)
    return 100 * kept_s / sum(one.duration_s for one in windows)


def early_ends(windows: Sequence[LabelledWindow], special: SpecialTokens) -> list[LabelledWindow]:
    """The windows whose label ends more than one second of speech early."""
    return [one for one in windows if one.missing_speech_s(special) > _MAX_MISSING_S]


def print_findings(found: Findings, terminal: pytest.TerminalReporter) -> None:
    """Print the table and the lines."""
    terminal.section("real speech, all of it" if found.is_full else "real speech, a sample")
    for row in ([name for name, _ in _LABELS], *found.rows):
        cells = zip(row, _LABELS, strict=True)
        terminal.write_line(
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, (_, width)) in enumerate(cells)
            )
        )
    for line in found.lines:
        terminal.write_line(line)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _difference(ours: str, theirs: str) -> str:
    """The first words of each from where they differ."""
    pairs = list(zip_longest(ours.split(), theirs.split()))
    start = next((index for index, (one, other) in enumerate(pairs) if one != other), 0)
    shown = [" ".join(text.split()[start : start + _SHOWN_WORDS]) for text in (ours, theirs)]
    return f"{shown[0]!r}, transformers {shown[1]!r}"

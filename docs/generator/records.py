"""The page on records: the fields of everything that is stored as JSON."""

import inspect
import re
from collections.abc import Iterator
from typing import Final

from docs.generator import markdown
from docs.generator.glossary import MEANINGS
from docs.generator.source import declared_fields
from flows.state.grid.report import (
    GridGroup,
    GridReport,
    GridRow,
    PaperComparison,
    PaperLine,
)
from storage.manifest import Content, Manifest, ManifestEntry, Terms, Totals
from storage.receipt import Counts, FileRef, PlannedShard, Receipt
from storage.receipts import Failure, Summarised, Summary
from storage.record import Record
from tasks.evaluate import findings
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.pooled import ModelResult

_INTRODUCTION: Final = """\
Records are JSON files with a `checksum` of their text as the last key. [The
layout](../architecture.md#layout-on-storage) says where each is. A key that is not listed here
makes a record invalid. A `ShardKey` is written as `corpus/split/00007`, a `Sha256` in hexadecimal
digits, an `Interval` as a list of its lower and its upper end; `NumRows` is a number of rows."""

GROUPS: Final = {
    "Receipts": (Receipt, FileRef, Counts, PlannedShard, Summary, Summarised, Failure),
    "Manifests": (Manifest, Content, ManifestEntry, Totals, Terms),
    "Reports": (
        Report,
        ModelResult,
        Coverage,
        findings.ModelFacts,
        findings.SetResult,
        findings.Average,
        findings.Comparison,
        findings.Robustness,
        findings.SpeedResult,
        findings.SpeculativeResult,
        findings.NonSpeech,
        findings.Claim,
    ),
    "Grids": (GridReport, GridRow, GridGroup, PaperComparison, PaperLine),
}
"""The records of each kind of file, that of the whole file first."""


def records_page() -> str:
    """The page `records.md`."""
    return markdown.page("Records", [_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for title, kinds in GROUPS.items():
        yield f"## {title}"
        for kind in kinds:
            yield f"### {kind.__name__}"
            yield inspect.getdoc(kind) or ""
            yield markdown.table(("key", "meaning", "type"), _rows(kind))


def _rows(kind: type[Record]) -> Iterator[tuple[str, str, str]]:
    declared = declared_fields(kind)
    for name, field in kind.model_fields.items():
        shown = markdown.code(type_text(declared[name].kind))
        missing = "" if field.is_required() else ", may be missing"
        meaning = declared[name].meaning or MEANINGS.get(name, "")
        yield markdown.code(field.alias or name), meaning, f"{shown}{missing}"


def type_text(annotation: str) -> str:
    """A type as it is declared, without its constraints.

    >>> type_text("Annotated[int, Field(ge=1)]"), type_text("tuple[Sha256, ...]")
    ('int', 'tuple[Sha256, ...]')
    """
    return re.sub(r"Annotated\[(\w+), Field\(.*\)\]", r"\1", annotation)

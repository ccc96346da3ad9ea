"""docs/threat-model.md: every line is proved by tests, and these exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "threat-model.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|") and not re.match(r"\|(---| who )", line)
]


@cache
def names_in(module: str) -> set[str]:
    tree = ast.parse((REPOSITORY / module).read_text())
    return {
        node.name for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }  # fmt: skip


def test_the_page_fits_on_a_page_and_has_threats_of_all_kinds() -> None:
    assert len(PAGE.splitlines()) < 80
    assert len(ROWS) >= 20
    who = " ".join(row[0] for row in ROWS)
    for word in ("archive", "transcript", "model", "network", "storage", "manifest", "machine"):
        assert word in f"{who} {PAGE}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_each_line_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4
    proofs = re.findall(r"`(tests/[^:`]+)::([^`]+)`", row[3])
    assert proofs
    for module, name in proofs:
        assert name in names_in(module), f"{module} has no {name}"

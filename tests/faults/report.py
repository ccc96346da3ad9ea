"""What the experiments found, and the page that shows it: docs/reliability.md.

    python -m tests.faults.report RESULTS PAGE

Each experiment writes one JSON file into the folder that `DISTILLERY_FAULTS` names, also when it
fails. `make faults` runs them all and then writes the page from these files alone.
"""

import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from textwrap import fill

FOLDER = "DISTILLERY_FAULTS"
"""The variable that names the folder of results; without it nothing is written."""

_PACKAGES = ("prefect", "pyarrow", "torch", "transformers", "fsspec", "s3fs", "botocore", "moto")
HEADER = """\
# Reliability

This page is written by `make faults`, which injects faults into real runs and checks what comes
out. It takes under an hour on two cores, sends traffic to loopback only, and stops by itself. Seeds
are fixed: a failing experiment prints its own, and runs alone with

    .venv/bin/python -m pytest -m faults tests/faults -k NAME

A short version of most experiments is part of `make test-all`.
"""


@dataclass(frozen=True)
class Finding:
    """One kind of fault, how often it was injected, and what came out."""

    injected: str
    times: int
    outcome: str


@dataclass
class Report:
    """The findings of one experiment."""

    name: str
    title: str
    seed: int | None = None
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    passed: bool = False

    def add(self, injected: str, times: int, outcome: str) -> None:
        self.findings.append(Finding(injected, times, outcome))

    def write(self) -> None:
        """Store the findings in the folder of results, if there is one."""
        if folder := os.environ.get(FOLDER):
            Path(folder).mkdir(parents=True, exist_ok=True)
            text = json.dumps(asdict(self), indent=1)
            (Path(folder) / f"{self.name.replace('/', '-')}.json").write_text(text)


def read(folder: Path) -> list[Report]:
    """All results in a folder, by name."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return [
        Report(**{**one, "findings": [Finding(**row) for row in one["findings"]]}) for one in found
    ]


def page(reports: Sequence[Report], now: datetime) -> str:
    """The page as Markdown."""
    return "\n".join(_lines(reports, now)) + "\n"


def _lines(reports: Sequence[Report], now: datetime) -> Iterator[str]:
    num_passed = sum(one.passed for one in reports)
    minutes = sum(one.seconds for one in reports) / 60
    yield HEADER
    yield (
        f"Last run: {now:%d %B %Y}, {num_passed} of {len(reports)} experiments passed,"
        f" {minutes:.0f} minutes of work."
    )
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = f"Python {platform.python_version()}"
    yield fill(f"{python}, {packages}; {platform.machine()}, {os.cpu_count()} cores.", 100)
    for title, group in groupby(sorted(reports, key=lambda one: one.title), lambda one: one.title):
        several = list(group)
        yield f"\n## {title}\n\n{_result(several)}\n"
        findings = [row for one in several for row in one.findings]
        if findings:
            yield "| injected | times | outcome |\n|---|---:|---|"
        for row in findings:
            yield f"| {row.injected} | {row.times:,} | {row.outcome} |"


def _result(reports: Sequence[Report]) -> str:
    """What became of the experiments of one title, which differ in their parameters only."""
    seconds = sum(one.seconds for one in reports)
    seeds = sorted({f", seed {one.seed}" for one in reports if one.seed is not None})
    took = f"in {seconds:.0f} s{''.join(seeds)}"
    if len(reports) == 1:
        result = "passed" if reports[0].passed else "**failed**"
        return f"`{reports[0].name}`: {result} {took}."
    failed = ", ".join(f"`{one.name}`" for one in reports if not one.passed)
    result = f"**failed**: {failed}" if failed else "all passed"
    return f"`{reports[0].name.split('[')[0]}`, {len(reports)} times {took}: {result}."


def main(folder: str, target: str) -> None:
    """Write the page; raises `SystemExit` if there are no results."""
    reports = read(Path(folder))
    if not reports:
        sys.exit(f"no results in {folder}; expected those of `make faults`")
    Path(target).write_text(page(reports, datetime.now(UTC)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

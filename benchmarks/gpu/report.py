"""Runs checks one after the other, each in a process of its own, and collects what they find."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any, TextIO

from benchmarks.gpu.check import Outcome

_WORDS = {True: "ok", False: "FAILED", None: "skipped"}


@dataclass
class Finding:
    """The outcome of a check and how long it took, start of its process included."""

    name: str
    outcome: Outcome
    seconds: float

    def line(self) -> str:
        """For a terminal."""
        word = _WORDS[self.outcome.passed]
        return f"{word:<8}{self.name:<11}{self.seconds:6.1f} s  {self.outcome.detail}"


@dataclass
class Report:
    """Everything found on a device."""

    device: str
    torch: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(one.outcome.passed is not False for one in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The value of `--json`."""
        checks = [
            {"name": one.name, "seconds": one.seconds, **asdict(one.outcome)}
            for one in self.findings
        ]
        return {"device": self.device, "torch": self.torch, "passed": self.passed, "checks": checks}


def run_all(
    report: Report, commands: Mapping[str, Sequence[str]], seconds: float, show: TextIO | None
) -> None:
    """Run `commands`, arguments of Python by the check's name, in at most `seconds` together."""
    if show is not None:
        show.write(f"{report.device}, torch {report.torch}\n")
    ends = monotonic() + seconds
    for name, command in commands.items():
        started = monotonic()
        outcome = _outcome(command, max(1.0, ends - started))
        report.findings.append(Finding(name, outcome, monotonic() - started))
        if show is not None:
            show.write(report.findings[-1].line() + "\n")
            show.flush()
    if show is not None:
        failed = sum(one.outcome.passed is False for one in report.findings)
        show.write(f"{failed} of {len(report.findings)} checks failed\n" if failed else "passed\n")


def _outcome(command: Sequence[str], timeout_s: float) -> Outcome:
    try:
        done = subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return Outcome(passed=False, detail=f"did not finish in the {timeout_s:.0f} s left")
    if done.returncode:
        return Outcome(
            passed=False, detail=f"ended with status {done.returncode}: {_last_line(done.stderr)}"
        )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        return Outcome(passed=False, detail=f"no JSON: {_last_line(done.stdout)}")
    return Outcome(**found) if "passed" in found else _of_benchmark(found)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing was written"])[-1]


def _of_benchmark(found: dict[str, Any]) -> Outcome:
    """A benchmark has no limit to pass; its figures are the speed of each contender, and ratios."""
    figures: dict[str, float] = {}
    parts: list[str] = []
    for row in found["rows"]:
        name = row["title"].strip()
        figures[f"{name} rtfx"] = row["rtfx"]
        parts.append(f"{name} {row['rtfx']:,.1f} times real time")
        if "windows_per_s" in row:
            figures[f"{name} windows_per_s"] = row["windows_per_s"]
            parts[-1] += f" or {row['windows_per_s']:.2f} windows/s"
    for name, ratio in found["ratios"].items():
        figures[name] = ratio
        parts.append(f"{name} {ratio:.2f}")
    return Outcome(passed=True, detail=", ".join(parts), figures=figures)

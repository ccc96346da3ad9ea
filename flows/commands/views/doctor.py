"""The view of the preflight checks."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from flows.commands.terminal.render import Part, View
from flows.doctor.check import Check

_STYLES: Final = {"ok": "green", "warning": "yellow", "problem": "red"}


def checks_view(checks: Sequence[Check]) -> View:
    """A line for each check, and below it what to do next."""
    return View(checks, _checks_parts(checks))


def _checks_parts(checks: Sequence[Check]) -> Iterator[Part]:
    for check in checks:
        state = Text(f"{check.state:<8}", _STYLES[check.state])
        yield Text.assemble(state, f"{check.subject}: {check.found}")
        if check.next_step:
            yield f"        next: {check.next_step}"
    counts = {state: sum(check.state == state for check in checks) for state in _STYLES}
    yield f"{counts['ok']} ok, {counts['warning']} warnings, {counts['problem']} problems"

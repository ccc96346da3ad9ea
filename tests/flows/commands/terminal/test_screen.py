"""Progress on the screen: a bar for each piece of work, and nothing where there is no work."""

import re
from io import StringIO

import pytest
from rich.console import Console

from flows.commands.terminal import screen
from flows.commands.terminal.screen import complain, on_screen
from flows.dispatch.progress import progress
from tests.processes import wait_for


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What is written to a pipe of 80 columns."""
    file = StringIO()
    monkeypatch.setattr(screen, "OUT", Console(file=file, width=80, force_terminal=False))
    return file


def test_a_pipe_gets_the_final_bars(output: StringIO) -> None:
    with on_screen():
        label, score = (progress().bar(stage, 0, "shards") for stage in ("label", "score"))
        label.extend(3)
        score.extend(2)
        label.advance(2)
        label.say("librispeech/train-clean-100/00002")
        label.advance()
        score.advance_to(1)
    lines = [line for line in output.getvalue().splitlines() if line.strip()]
    assert len(lines) == 2
    assert lines[0].startswith("label") and "3/3" in lines[0] and "00002" in lines[0]
    assert lines[1].startswith("score") and "1/2" in lines[1]
    assert max(map(len, lines)) <= 80


def test_without_a_terminal_progress_is_logged_at_intervals(
    output: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StringIO()
    monkeypatch.setattr(screen, "ERR", Console(file=log, width=200, force_terminal=False))
    monkeypatch.setattr(screen, "_LOG_INTERVAL_S", 0.01)
    with on_screen():
        label, done = progress().bar("label", 10, "shards"), progress().bar("score", 2, "shards")
        done.advance(2)
        label.advance(5)
        label.say("ami/train/00005")
        wait_for(lambda: "min left" in log.getvalue(), 10, "a line in the log")
    line = log.getvalue().splitlines()[-1]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d label: 5/10 shards, [\d.,]+ per minute, \d+ min left; ami/train/00005",
        line,
    )
    assert "score" not in log.getvalue()


def test_no_work_shows_nothing(output: StringIO) -> None:
    with on_screen():
        pass
    assert output.getvalue() == ""
    with on_screen():
        progress().bar("verify", 0, "files")
    assert not output.getvalue().strip()


def test_names_cannot_control_the_screen(output: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    log = StringIO()
    monkeypatch.setattr(screen, "ERR", Console(file=log, width=200, force_terminal=True))
    with on_screen():
        bar = progress().bar("lab[red]el\x1b[2J", 2, "shards")
        bar.say("a\x1b]0;owned\x07[/nothing]\u202e.tar")
        bar.advance(2)
    complain("[red]x[/red]\x1b[31m\x9b")
    shown = output.getvalue() + log.getvalue()
    assert "lab[red]el\\x1b[2J" in shown and "a\\x1b]0;owned\\x07[/nothing]\\u202e.tar" in shown
    assert "[red]x[/red]\\x1b[31m\\x9b" in shown
    assert "\x1b" not in output.getvalue()
    assert not set(shown) & {"\x07", "\x9b", "\u202e"}

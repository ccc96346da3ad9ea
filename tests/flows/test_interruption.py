"""One Ctrl-C ends a run at once, wherever it is, and the same command continues it."""

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.flows.running import COMMAND, REPOSITORY, Run, tiny
from tests.processes import environment
from tests.terminal import CTRL_C, Terminal

INTERRUPTED, TERMINATED = 130, 143
LIMIT_S = 3.0
LONG_S = 280.0

PROGRAM = """
import hashlib, signal, sys, time
from contextlib import nullcontext
from flows.interruption import handled, ongoing
from tasks.termination import SavedFirst

def save():
    time.sleep(0.5)
    print("saved", flush=True)

def tidy():
    {tidy}

sys.argv = ["distillery", "run", {argument!a}]
with handled(), ongoing(lambda: "label 3/10 shards", tidy), {inside}:
    print("ready", flush=True)
    {work}
print("the end")
"""
SLEEP = "time.sleep(60)"
UNTIL_TIDYING = "while not hasattr(sys, 'tidying'): time.sleep(0.01)"
IGNORED = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
KILL = "os.kill(0, signal.SIGINT)"
NOTHING = {"tidy": "pass", "inside": "nullcontext()", "argument": "a b.yaml"}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts `PROGRAM` in a terminal and waits until it works."""
    started: list[Terminal] = []

    def start(**parts: str) -> Terminal:
        code = PROGRAM.format(**{"work": SLEEP, **NOTHING, **parts})
        words = [sys.executable, "-c", code]
        started.append(Terminal(words, tmp_path, environment(PYTHONPATH=str(REPOSITORY))))
        started[-1].wait_until(lambda: "ready" in started[-1].shown, 30, "its work")
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def test_one_line_says_what_is_interrupted_and_how_to_continue(program) -> None:
    terminal = program()
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) == INTERRUPTED
    assert terminal.last_line == (
        "distillery: interrupted at label 3/10 shards; to continue: distillery run 'a b.yaml'"
    )


def test_a_library_that_does_not_return_is_interrupted_too(program) -> None:
    terminal = program(work="hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)")
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) == INTERRUPTED


def test_sigterm_has_a_status_of_its_own(program) -> None:
    terminal = program()
    terminal.process.terminate()
    assert terminal.wait(LIMIT_S) == TERMINATED
    assert "stopped by SIGTERM at label 3/10 shards; to continue" in terminal.last_line


def test_sigterm_waits_for_what_is_saved_first(program) -> None:
    terminal = program(inside="SavedFirst(save)")
    terminal.process.terminate()
    assert terminal.wait(LIMIT_S) == TERMINATED
    saved, line = terminal.shown.split("ready")[1].split("\r\n")[1:3]
    assert saved == "saved"
    assert "at label 3/10 shards after saving a checkpoint; to continue" in line


@pytest.mark.parametrize(
    ("save", "words"),
    [("None", "after saving a checkpoint"), ("1 // 0", "without saving a checkpoint")],
)
def test_the_line_of_sigterm_says_whether_the_checkpoint_is_saved(
    program, save: str, words: str
) -> None:
    terminal = program(inside=f"SavedFirst(lambda: {save})")
    terminal.process.terminate()
    assert terminal.wait(LIMIT_S) == TERMINATED
    assert re.search(rf"stopped by SIGTERM .*{words}; to continue", terminal.shown)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_line_is_printed_though_the_work_ends_meanwhile(
    program, number: signal.Signals
) -> None:
    terminal = program(tidy="sys.tidying = True; time.sleep(0.5)", work=UNTIL_TIDYING)
    terminal.process.send_signal(number)
    assert terminal.wait(LIMIT_S) in (INTERRUPTED, TERMINATED)
    assert terminal.last_line.endswith("to continue: distillery run 'a b.yaml'")


def test_a_second_signal_leaves_no_traceback_though_the_work_ends_meanwhile(program) -> None:
    terminal = program(
        tidy="sys.tidying = True; print('tidying', flush=True); time.sleep(60)",
        work=UNTIL_TIDYING,
    )
    terminal.process.terminate()
    terminal.wait_until(lambda: "tidying" in terminal.shown, LIMIT_S, "its end")
    time.sleep(0.2)
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) in (INTERRUPTED, TERMINATED)
    assert "Traceback" not in terminal.shown


def test_an_argument_that_is_not_utf_8_is_shown_with_escapes(program) -> None:
    terminal = program(argument="caf\udce9.yaml")
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) == INTERRUPTED
    assert terminal.last_line.endswith(r"to continue: distillery run 'caf\udce9.yaml'")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_immediately(program, first: signal.Signals) -> None:
    """The screen, or a checkpoint, then stays as it is."""
    terminal = program(tidy=SLEEP, inside="SavedFirst(lambda: time.sleep(60))")
    terminal.process.send_signal(first)
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) in (INTERRUPTED, TERMINATED)


def test_a_screen_that_hangs_delays_the_end_only_briefly(program) -> None:
    terminal = program(tidy=SLEEP)
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) == INTERRUPTED


def test_an_ignored_signal_stays_ignored_and_handlers_are_restored(program) -> None:
    """As for a program that a shell has started in the background."""
    within = "nullcontext(print(signal.getsignal(signal.SIGINT).__name__))"
    terminal = program(work="pass", inside=within)
    assert terminal.wait(LIMIT_S) == 0
    assert "_left_to_the_thread" in terminal.shown
    ignoring = [sys.executable, "-c", f"{IGNORED}{PROGRAM}".format(work=KILL, **NOTHING)]
    with Terminal(ignoring, REPOSITORY, environment()) as background:
        assert background.wait(30) == 0
        assert "the end" in background.shown


def test_a_run_is_interrupted_while_its_server_starts(tmp_path: Path) -> None:
    run = tiny(tmp_path)
    with running(run) as terminal:
        terminal.wait_until((tmp_path / ".prefect" / "login").exists, LONG_S, "the server")
        _interrupt(terminal)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_is_interrupted_in_every_stage_ends_with_the_same_manifest(
    finished: Run, tmp_path: Path
) -> None:
    run = tiny(tmp_path, runtime={"devices": ["cpu"]}, distil={"num_steps": 40})
    for stage in ("synthesise", "download", "plan", "normalise", "label", "score", "filter"):
        with running(run) as terminal:
            terminal.wait_until(partial(_is_at, terminal, stage), LONG_S, stage)
            _interrupt(terminal)
    with running(run) as terminal:
        terminal.wait_until(lambda: "CE" in terminal.shown, LONG_S, "the first step")
        terminal.process.terminate()
        assert terminal.wait(LONG_S) == TERMINATED
        assert _lines_after(terminal, "CE")[-1].endswith("to continue: distillery run tiny.yaml")
        assert "after saving a checkpoint" in terminal.last_line
        assert terminal.survivors() == []
    [listed] = (run.root / "distil").glob("*/checkpoints/*/files.json")
    first_step = int(listed.parent.name.removeprefix("step-"))
    assert first_step > 0
    with running(run) as terminal:
        terminal.wait_until(lambda: "CE" in terminal.shown, LONG_S, "a further step")
        assert not re.search(rf" {first_step}/40", terminal.shown)
        _interrupt(terminal)
    with running(run) as terminal:
        terminal.wait_until(lambda: _is_at(terminal, "evaluate"), LONG_S, "evaluate")
        _interrupt(terminal)
    run.run()
    assert run.digest == finished.digest
    assert [one["number"] for one in run.json("manifest", "list")] == [1]


def running(run: Run) -> Terminal:
    """A run in a terminal of its own, with a private server."""
    return Terminal([str(COMMAND), "run", run.config.name], run.folder, environment(COLUMNS="200"))


def _is_at(terminal: Terminal, stage: str) -> bool:
    return re.search(rf"\b{stage} ", terminal.shown) is not None


def _interrupt(terminal: Terminal) -> None:
    terminal.press(CTRL_C)
    assert terminal.wait(LIMIT_S) == INTERRUPTED
    [line] = [one for one in _lines_after(terminal, "^C") if "━" not in one]
    assert re.fullmatch(
        r"distillery: interrupted( at .+)?; to continue: distillery run tiny\.yaml", line
    )
    assert terminal.survivors() == []


def _lines_after(terminal: Terminal, mark: str) -> list[str]:
    """What is shown after the last mark, without control sequences and empty lines."""
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", terminal.shown.rpartition(mark)[2])
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]

"""On a terminal of 80 columns, what commands print fits and splits no word."""

import fcntl
import re
import struct
import termios
from typing import Any

import pytest

from tests.flows.running import COMMAND, Run
from tests.processes import environment
from tests.terminal import Terminal

WIDTH = 80
COMMANDS = (
    "status tiny.yaml",
    "status tiny.yaml --training",
    "sweep tiny.yaml",
    "manifest list tiny.yaml",
    "manifest show tiny.yaml",
    "manifest verify tiny.yaml",
    "doctor tiny.yaml",
    "run tiny.yaml --plan",
    "corpora",
    "gc tiny.yaml",
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Narrow(Terminal):
    """A terminal of 80 columns."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 25, WIDTH, 0, 0))


@pytest.mark.slow
def test_lines_fit_and_words_are_whole(finished: Run) -> None:
    for command in COMMANDS:
        words = command.split()
        with Narrow([str(COMMAND), *words], finished.folder, environment(TERM="xterm")) as shown:
            status = shown.wait(120)
            lines = re.split(r"[\r\n]+", _ESCAPES.sub("", shown.shown))
        assert status in (0, 1), shown.end
        in_pipe = finished.distillery(*words, expect=None).stdout
        assert lines, command
        # a path alone may be longer
        assert [one for one in lines if len(one) > WIDTH and " " in one.strip()] == [], command
        known = set(re.findall(r"[A-Za-z]{3,}", in_pipe))
        found = set(re.findall(r"[A-Za-z]{3,}", "\n".join(lines)))
        assert found <= known, (command, found - known)

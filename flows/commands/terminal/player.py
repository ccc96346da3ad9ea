"""Plays audio with a player that the machine has."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from storage.errors import DistilleryError, UserError

PLAYERS: Final[Sequence[Sequence[str]]] = (
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    ("mpv", "--no-video", "--really-quiet"),
    ("pw-play",),
    ("paplay",),
    ("aplay", "--quiet"),
    ("afplay",),  # part of macOS
    ("play", "-q"),
)
"""Programs that play a WAV file, each with its options, in the order in which they are tried."""


def play(file: Path) -> None:
    """Play a WAV file to its end.

    Raises `UserError` where there is no player, and `DistilleryError` where it fails.
    """
    command = next((one for one in PLAYERS if shutil.which(one[0])), None)
    if command is None:
        names = ", ".join(one[0] for one in PLAYERS)
        raise UserError(
            f"no player found, none of {names}; install one, as with `apt install ffmpeg` or"
            " `brew install ffmpeg`, or write the audio with --wav FILE"
        )
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines()
    if done.returncode != 0:
        raise DistilleryError(
            f"{command[0]} ended with {done.returncode}{f': {said[-1]}' if said else ''}; write the"
            " audio with --wav FILE and play it elsewhere"
        )

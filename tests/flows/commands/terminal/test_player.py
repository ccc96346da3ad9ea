"""Audio is played by the first player that the machine has."""

import os
from pathlib import Path

import pytest

from flows.commands.terminal.player import PLAYERS, play
from storage.errors import DistilleryError, UserError


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for; it is empty."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_without_a_player_the_message_says_what_to_install(programs: Path) -> None:
    with pytest.raises(UserError, match=r"no player found.*ffplay.*aplay.*afplay.*--wav FILE"):
        play(programs / "a.wav")


def test_the_first_player_that_is_there_gets_the_file(programs: Path) -> None:
    called = programs / "called"
    for name in ("aplay", "afplay"):
        install(programs, name, f'echo "$0 $@" > {called}')
    play(programs / "a.wav")
    (options,) = [one[1:] for one in PLAYERS if one[0] == "aplay"]
    words = called.read_text().split()
    assert [os.path.basename(words[0]), *words[1:]] == ["aplay", *options, f"{programs}/a.wav"]


def test_a_player_that_fails_is_reported_in_one_line(programs: Path) -> None:
    install(programs, "paplay", "echo trying >&2; echo no device >&2; exit 3")
    with pytest.raises(DistilleryError) as raised:
        play(programs / "a.wav")
    assert str(raised.value).startswith("paplay ended with 3: no device; ")
    assert "\n" not in str(raised.value)

"""Chains of windows end in the order of the stream, whatever their length."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import Label, Teacher
from storage.errors import ShardError
from storage.outcome import Rejected, dropped
from tasks.whisper.engine import AudioWindow
from tasks.whisper.in_order import run_in_order
from tests.tasks.whisper.fake_engine import FakeEngine

SETTINGS = Label(teacher=Teacher(path="unused"))


@dataclasses.dataclass
class Countdown:
    """A chain of so many windows with ids of their own."""

    number: int
    num_left: int
    texts: list = dataclasses.field(default_factory=list)

    def window(self):
        return AudioWindow(f"{self.number}@{self.num_left}", np.zeros(10, np.float32))

    def following(self, window, result):
        self.texts.append(result.text)
        self.num_left -= 1
        return self.window() if self.num_left else None


def stream(lengths):
    for number, length in enumerate(lengths):
        if length:
            chain = Countdown(number, length)
            yield chain, chain.window()
        else:
            yield dropped(str(number), "marked")


@given(
    lengths=st.lists(st.integers(0, 6), max_size=30),
    num_slots=st.integers(1, 9),
    max_waiting=st.integers(1, 9),
)
def test_chains_have_the_order_of_the_stream(lengths, num_slots, max_waiting):
    waiting = []

    def has_room(num_waiting, chains):
        waiting.append(len(list(chains)))
        return num_waiting < max_waiting

    found = list(
        run_in_order(FakeEngine(num_slots=num_slots), stream(lengths), SETTINGS, has_room=has_room)
    )
    assert len(found) == len(lengths)
    for number, (length, one) in enumerate(zip(lengths, found, strict=True)):
        if isinstance(one, Rejected):
            assert (one.id, length) == (str(number), 0)
        else:
            assert one.texts == [f"{number}@{left}" for left in range(length, 0, -1)]
    assert max(waiting) <= max_waiting


def test_an_engine_that_returns_a_window_twice_is_refused():
    class Repeating(FakeEngine):
        def transcribe(self, windows, settings):
            for one in super().transcribe(windows, settings):
                yield one
                yield one

    chains = run_in_order(Repeating(), stream([1]), SETTINGS, has_room=lambda *_: True)
    with pytest.raises(ShardError, match="twice"):
        list(chains)

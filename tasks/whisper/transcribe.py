"""A stream of windows becomes a stream of transcripts in the same order, in bounded memory.

The engine hears in whatever order suits it. Here what it has heard is put back into line, and
what failed a check is sent back to it at once. Knows neither what a window holds nor how it is
heard.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from configs.schema import Label
from storage.errors import ShardError
from storage.outcome import Rejected
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.safety import Transcript, next_temperature, transcript_of

T = TypeVar("T")

MAX_IN_LINE: Final = 4_096
"""Transcripts that may wait for an earlier window; without sound, a few kilobytes each."""


@dataclass(slots=True)
class _Place(Generic[T]):
    """A window's place in the line: what is known of it, and what was heard once it was."""

    known: T
    transcript: Transcript | None = None


def transcribe_all(
    engine: Engine,
    stream: Iterable[tuple[T, AudioWindow] | Rejected],
    settings: Label,
    *,
    max_in_line: int = MAX_IN_LINE,
) -> Iterator[tuple[T, Transcript] | Rejected]:
    """What was heard in each window of a stream, in its order; what is left out passes by.

    A window is a sound and whatever its owner wants to know it by. One that fails a check is heard
    again at the next of `settings.temperatures`, beside those that are heard for the first time.
    Held are the sounds that the engine has taken and at most `max_in_line` transcripts: a window
    that takes long, or fails, holds up those behind it, and before they are more the engine gets no
    further sounds until they are done. Raises what the engine raises, `ShardError` for an engine
    that does not answer for each sound once.
    """
    line = _Line(iter(stream), max_in_line)
    while not line.is_exhausted:
        hearing = engine.transcribe(line.sounds(), settings)
        again: AudioWindow | None = None
        while (answer := _next(hearing, again)) is not None:
            again = line.take(*answer, settings)
            yield from line.leave()
        line.refuse_unheard()
        yield from line.leave()


def _next(
    hearing: Transcriptions, again: AudioWindow | None
) -> tuple[AudioWindow, DecodingResult] | None:
    try:
        return hearing.send(again)
    except StopIteration:
        return None


class _Line(Generic[T]):
    """Windows in their order, each until it and all before it are done."""

    def __init__(
        self, stream: Iterator[tuple[T, AudioWindow] | Rejected], max_in_line: int
    ) -> None:
        self._stream = stream
        self._max_in_line = max_in_line
        self._line: deque[_Place[T] | Rejected] = deque()
        self._unheard: dict[str, tuple[float, _Place[T]]] = {}
        self.is_exhausted = False

    def sounds(self) -> Iterator[AudioWindow]:
        """The next sounds, each put in line as it is taken, for as long as there is room."""
        while len(self._line) < self._max_in_line:
            found = next(self._stream, None)
            if found is None:
                self.is_exhausted = True
                return
            if isinstance(found, Rejected):
                self._line.append(found)
                continue
            known, sound = found
            if sound.id in self._unheard:
                raise ShardError(f"two windows have the id {sound.id!r}; normalise the shard again")
            place = _Place(known)
            self._line.append(place)
            self._unheard[sound.id] = sound.temperature, place
            yield sound

    def take(
        self, sound: AudioWindow, heard: DecodingResult, settings: Label
    ) -> AudioWindow | None:
        """Note what was heard; returns the sound to hear once more where it failed a check.

        Raises `ShardError` for a sound that waits for nothing.
        """
        waiting_at, place = self._unheard.pop(sound.id, (None, None))
        if place is None or waiting_at != sound.temperature:
            raise ShardError(f"the engine heard {sound.id!r}, which it was not given or twice")
        transcript = transcript_of(heard, settings, sound.temperature)
        temperature = next_temperature(transcript, settings)
        if temperature is None:
            place.transcript = transcript
            return None
        self._unheard[sound.id] = temperature, place
        return replace(sound, temperature=temperature)

    def refuse_unheard(self) -> None:
        """Raise `ShardError` when the engine has ended and not answered for every sound."""
        if self._unheard:
            raise ShardError(
                f"the engine did not hear {len(self._unheard)} of its windows, the first is"
                f" {next(iter(self._unheard))!r}"
            )

    def leave(self) -> Iterator[tuple[T, Transcript] | Rejected]:
        """Those at the head of the line that are done."""
        while self._line:
            first = self._line[0]
            if isinstance(first, Rejected):
                yield first
            elif first.transcript is not None:
                yield first.known, first.transcript
            else:
                return
            self._line.popleft()

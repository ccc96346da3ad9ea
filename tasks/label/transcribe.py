"""A stream of windows becomes a stream of transcripts in the same order, in bounded memory.

The engine hears in whatever order suits it. Here what it has heard is put back into line, and
what failed a check is heard again. Knows neither what a window holds nor how it is heard.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from configs.schema import Label
from storage.errors import ShardError
from storage.outcome import LeftOut
from tasks.label.engine import Engine, Sound
from tasks.label.safety import Transcript, hear_again, transcript_of

T = TypeVar("T")

MAX_IN_LINE: Final = 4_096
"""Transcripts that may wait for an earlier window; without sound, a few kilobytes each."""

MAX_FAILED: Final = 64
"""Windows that may wait to be heard again, with their sound: 2 MB each at 30 s."""


@dataclass(slots=True)
class _Place(Generic[T]):
    """A window's place in the line: what is known of it, and what was heard once it was."""

    known: T
    transcript: Transcript | None = None


def transcribe_all(
    engine: Engine,
    stream: Iterable[tuple[T, Sound] | LeftOut],
    settings: Label,
    *,
    max_in_line: int = MAX_IN_LINE,
    max_failed: int = MAX_FAILED,
) -> Iterator[tuple[T, Transcript] | LeftOut]:
    """What was heard in each window of a stream, in its order; what is left out passes by.

    A window is a sound and whatever its owner wants to know it by. Held are the sounds that the
    engine has room for, those that failed and at most `max_in_line` transcripts: a window that
    takes long, or fails, holds up those behind it, and before they are more the engine gets no
    further sounds until they are done. The same when `max_failed` windows have failed: then these
    are heard again, together. Raises what the engine raises, `ShardError` for an engine that does
    not answer for each sound once.
    """
    line = _Line(iter(stream), max_in_line, max_failed)
    while not line.is_exhausted:
        failed: list[Sound] = []
        for sound, heard in engine.hear(line.sounds(failed), settings):
            transcript = transcript_of(heard, settings, settings.temperatures[0])
            if transcript.is_trusted or len(settings.temperatures) == 1:
                line.settle(sound, transcript)
                yield from line.leave()
            else:
                failed.append(sound)
        if failed:
            for sound, transcript in hear_again(engine, failed, settings):
                line.settle(sound, transcript)
        line.refuse_unheard()
        yield from line.leave()


class _Line(Generic[T]):
    """Windows in their order, each until it and all before it are done."""

    def __init__(
        self, stream: Iterator[tuple[T, Sound] | LeftOut], max_in_line: int, max_failed: int
    ) -> None:
        self._stream = stream
        self._max_in_line = max_in_line
        self._max_failed = max_failed
        self._line: deque[_Place[T] | LeftOut] = deque()
        self._unheard: dict[str, _Place[T]] = {}
        self.is_exhausted = False

    def sounds(self, failed: list[Sound]) -> Iterator[Sound]:
        """The next sounds, each put in line as it is taken, for as long as there is room.

        `failed` is looked at before each of them.
        """
        while len(self._line) < self._max_in_line and len(failed) < self._max_failed:
            found = next(self._stream, None)
            if found is None:
                self.is_exhausted = True
                return
            if isinstance(found, LeftOut):
                self._line.append(found)
                continue
            known, sound = found
            if sound.id in self._unheard:
                raise ShardError(f"two windows have the id {sound.id!r}; normalise the shard again")
            place = _Place(known)
            self._line.append(place)
            self._unheard[sound.id] = place
            yield sound

    def settle(self, sound: Sound, transcript: Transcript) -> None:
        """Note what was heard; raises `ShardError` for a sound that waits for nothing."""
        place = self._unheard.pop(sound.id, None)
        if place is None:
            raise ShardError(f"the engine heard {sound.id!r}, which it was not given or twice")
        place.transcript = transcript

    def refuse_unheard(self) -> None:
        """Raise `ShardError` when the engine has ended and not answered for every sound."""
        if self._unheard:
            raise ShardError(
                f"the engine did not hear {len(self._unheard)} of its windows, the first is"
                f" {next(iter(self._unheard))!r}"
            )

    def leave(self) -> Iterator[tuple[T, Transcript] | LeftOut]:
        """Those at the head of the line that are done."""
        while self._line:
            first = self._line[0]
            if isinstance(first, LeftOut):
                yield first
            elif first.transcript is not None:
                yield first.known, first.transcript
            else:
                return
            self._line.popleft()

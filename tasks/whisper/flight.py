"""The windows that are on their way through a Whisper: taken, encoded ahead, decoded, landed.

A slot is filled again as soon as its window has ended. Knows whose window is in which row; knows no
weights and no rules.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

from torch import Tensor

from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.noise import noise_seed
from tasks.whisper.decoding.slots import Snapshot
from tasks.whisper.decoding.speculate import Trial
from tasks.whisper.engine import AudioWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """All tokens of a window, the sum of the log-probabilities of the sampled, and no speech's."""

    tokens: tuple[int, ...]
    sum_logprob: float
    no_speech_prob: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How windows and rounds are grouped: what suits the device.

    With `looks_back` it is seen one turn late that a window has ended, while the device is busy
    with the next: nothing then ever waits, and what is decoded in vain changes no answer.
    """

    num_encoded: int
    num_rounds: int
    looks_back: bool


ON_CPU = Pace(num_encoded=4, num_rounds=1, looks_back=False)
ON_GPU = Pace(num_encoded=8, num_rounds=4, looks_back=True)


@dataclass(slots=True)
class _Window:
    """A window that is decoded in `row`, and the position that its last token has at most."""

    sound: AudioWindow
    row: int
    reach: int
    has_landed: bool = False


@dataclass(slots=True)
class _Encoded:
    """A batch of what the encoders made, of which the first `num_begun` are decoded already."""

    sounds: Sequence[AudioWindow]
    outputs: Sequence[Tensor]
    num_begun: int = 0

    @property
    def num_left(self) -> int:
        return len(self.sounds) - self.num_begun


@dataclass(frozen=True, slots=True)
class _Sight:
    """A snapshot, whose row was whose then, and how far each row could have come by then."""

    snapshot: Snapshot
    windows: Sequence[_Window | None]
    gained: int


class Flight:
    """Windows in the slots of `decoder`; all of its memory is let go with it."""

    def __init__(
        self,
        decoder: Decoder,
        encode: Callable[[Sequence[AudioWindow]], Sequence[Tensor]],
        pace: Pace,
        trial: Trial | None,
    ) -> None:
        self.decoder, self._encode = decoder, encode
        self._pace, self._trial = pace, trial
        self._num_encoded = min(pace.num_encoded, decoder.num_slots)
        self._waiting: deque[AudioWindow] = deque()
        self._encoded = _Encoded((), ())
        self._rows: list[_Window | None] = [None] * decoder.num_slots
        self._gained = 0
        self._seen: _Sight | None = None

    @property
    def room(self) -> int:
        """How many more windows the next turn has use for: whole batches of the encoder."""
        num_free = sum(row is None for row in self._rows)
        missing = num_free - len(self._waiting) - self._encoded.num_left
        return max(0, -(-missing // self._num_encoded)) * self._num_encoded

    @property
    def sounds(self) -> list[AudioWindow]:
        """All that was taken and has not landed."""
        decoded = [row.sound for row in self._rows if row is not None]
        return [*decoded, *self._encoded.sounds[self._encoded.num_begun :], *self._waiting]

    def turn(self, sounds: Sequence[AudioWindow]) -> list[tuple[AudioWindow, Hypothesis]]:
        """Take `sounds`, decode a little further, and return what has ended.

        Raises `torch.OutOfMemoryError`, and then nothing has landed: decode `self.sounds` again.
        """
        self._waiting.extend(sounds)
        self._fill()
        self._close_ranks()
        num_rows = sum(row is not None for row in self._rows)
        if not num_rows:
            return []
        if self._trial is not None and not self._trial.is_over:
            return self._measured_turn(num_rows, self._trial)
        speculate = self._trial is not None and self._trial.speculates
        now = self._go_on(num_rows, self._pace.num_rounds, speculate=speculate)
        due: _Sight | None = now
        if self._pace.looks_back:
            due, self._seen = self._seen, now
        return list(self._land(due))

    def _fill(self) -> None:
        free = [number for number, row in enumerate(self._rows) if row is None]
        while free and (self._encoded.num_left or self._waiting):
            if not self._encoded.num_left:
                batch = list(islice(self._waiting, self._num_encoded))
                self._encoded = _Encoded(batch, self._encode(batch))
                for _ in batch:
                    self._waiting.popleft()
            rows = free[: self._encoded.num_left]
            self._begin(rows)
            del free[: len(rows)]

    def _begin(self, rows: Sequence[int]) -> None:
        """Decode the next of the encoded in `rows`."""
        chosen = slice(self._encoded.num_begun, self._encoded.num_begun + len(rows))
        sounds = self._encoded.sounds[chosen]
        outputs = [output[chosen] for output in self._encoded.outputs]
        seeds = [noise_seed(sound.id, sound.temperature) for sound in sounds]
        self.decoder.begin(rows, outputs, seeds, [sound.temperature for sound in sounds])
        for row, sound in zip(rows, sounds, strict=True):
            self._rows[row] = _Window(sound, row, len(self.decoder.rules.prompt))
        self._encoded.num_begun = chosen.stop

    def _close_ranks(self) -> None:
        """Where there is nothing left to fill the slots, the first are used and no others."""
        while None in self._rows:
            hole = self._rows.index(None)
            last = max((row.row for row in self._rows if row is not None), default=-1)
            if last < hole:
                break
            self.decoder.move(last, hole)
            moved, self._rows[last] = self._rows[last], None
            assert moved is not None
            moved.row = hole
            self._rows[hole] = moved

    def _go_on(self, num_rows: int, num_rounds: int, *, speculate: bool) -> _Sight:
        samples = any(row.sound.temperature for row in self._rows if row is not None)
        for _ in range(num_rounds):
            longest = max(row.reach for row in self._rows if row is not None)
            gained = self.decoder.go_on(num_rows, longest, speculate=speculate, samples=samples)
            self._gained += gained
            for row in self._rows[:num_rows]:
                assert row is not None
                row.reach += gained
        return _Sight(self.decoder.snapshot(num_rows), self._rows[:num_rows], self._gained)

    def _measured_turn(self, num_rows: int, trial: Trial) -> list[tuple[AudioWindow, Hypothesis]]:
        """One round with nothing else on the device; tells the trial."""
        self.decoder.snapshot(num_rows).wait()
        windows = [row for row in self._rows[:num_rows] if row is not None]
        before = sum(window.reach for window in windows)
        speculate = trial.speculates
        started_s = perf_counter()
        seen = self._go_on(num_rows, 1, speculate=speculate)
        seen.snapshot.wait()
        took_s = perf_counter() - started_s
        landed = list(self._land(seen))
        after = sum(window.reach for window in windows)
        trial.record(took_s, (after - before) / num_rows, speculated=speculate)
        return landed

    def _land(self, seen: _Sight | None) -> Iterator[tuple[AudioWindow, Hypothesis]]:
        if seen is None:
            return
        snapshot = seen.snapshot
        snapshot.wait()
        positions, ended = snapshot.position.tolist(), snapshot.ended.tolist()
        for number, window in enumerate(seen.windows):
            if window is None or window.has_landed:
                continue
            window.reach = positions[number] + self._gained - seen.gained
            if ended[number]:
                window.has_landed = True
                self._rows[window.row] = None
                yield window.sound, _answer(snapshot, number, positions[number])


def _answer(snapshot: Snapshot, row: int, position: int) -> Hypothesis:
    return Hypothesis(
        tokens=tuple(snapshot.tokens[row, : position + 1].tolist()),
        sum_logprob=float(snapshot.sum_logprob[row]),
        no_speech_prob=float(snapshot.no_speech[row]),
    )

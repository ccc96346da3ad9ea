"""Continuous batching: windows are encoded ahead, decoded in slots, and returned as they end.

A slot is refilled as soon as its window has ended. Tracks which window is in which row; it has no
notion of weights or decoding rules.
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
from tasks.whisper.decoding.speculation import SpeculationTrial
from tasks.whisper.engine import AudioWindow


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """The tokens of a window with the prompt, and the log-probability of the generated ones."""

    tokens: tuple[int, ...]
    sum_logprob: float
    no_speech_prob: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How work is grouped on a device: windows per encoder batch, decoding steps per `advance`.

    With `is_pipelined`, ended windows are collected one `advance` late, while the device is busy
    with the next, so that the device never waits for the host. The superfluous steps change no
    hypothesis.
    """

    encoder_batch_size: int
    num_steps: int
    is_pipelined: bool


CPU_SCHEDULE = Schedule(encoder_batch_size=4, num_steps=1, is_pipelined=False)
GPU_SCHEDULE = Schedule(encoder_batch_size=8, num_steps=4, is_pipelined=True)


@dataclass(slots=True)
class _ActiveWindow:
    """A window in `row`; `max_position` is an upper bound on the position of its last token."""

    window: AudioWindow
    row: int
    max_position: int
    has_ended: bool = False


@dataclass(slots=True)
class _EncodedBatch:
    """Encoder output for a batch of windows, of which the first `num_started` are in slots."""

    windows: Sequence[AudioWindow]
    outputs: Sequence[Tensor]
    num_started: int = 0

    @property
    def num_left(self) -> int:
        return len(self.windows) - self.num_started


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """A snapshot, the window of each of its rows, and the tokens a row may have gained so far."""

    snapshot: Snapshot
    rows: Sequence[_ActiveWindow | None]
    max_gained: int


class BatchScheduler:
    """Keeps the slots of `decoder` filled; its memory is released together with the scheduler."""

    def __init__(
        self,
        decoder: Decoder,
        encode: Callable[[Sequence[AudioWindow]], Sequence[Tensor]],
        schedule: Schedule,
        trial: SpeculationTrial | None,
    ) -> None:
        self.decoder, self._encode = decoder, encode
        self._schedule, self._trial = schedule, trial
        self._encoder_batch_size = min(schedule.encoder_batch_size, decoder.num_slots)
        self._waiting: deque[AudioWindow] = deque()
        self._encoded = _EncodedBatch((), ())
        self._rows: list[_ActiveWindow | None] = [None] * decoder.num_slots
        self._max_gained = 0
        self._uncollected: _Checkpoint | None = None

    @property
    def num_wanted(self) -> int:
        """How many more windows the next `advance` can use, in whole encoder batches."""
        num_free = sum(row is None for row in self._rows)
        num_missing = num_free - len(self._waiting) - self._encoded.num_left
        batch_size = self._encoder_batch_size
        return max(0, -(-num_missing // batch_size)) * batch_size

    @property
    def unfinished(self) -> list[AudioWindow]:
        """All windows that were taken and have not been returned."""
        active = [row.window for row in self._rows if row is not None]
        return [*active, *self._encoded.windows[self._encoded.num_started :], *self._waiting]

    def advance(self, windows: Sequence[AudioWindow]) -> list[tuple[AudioWindow, Hypothesis]]:
        """Take `windows`, decode a few steps, and return the windows that have ended.

        Raises `torch.OutOfMemoryError`; no window has then ended, so decode `unfinished` again.
        """
        self._waiting.extend(windows)
        self._fill_slots()
        self._compact_rows()
        num_rows = sum(row is not None for row in self._rows)
        if not num_rows:
            return []
        if self._trial is not None and not self._trial.is_over:
            return self._timed_step(num_rows, self._trial)
        speculate = self._trial is not None and self._trial.speculates
        current = self._decode(num_rows, self._schedule.num_steps, speculate=speculate)
        due: _Checkpoint | None = current
        if self._schedule.is_pipelined:
            due, self._uncollected = self._uncollected, current
        return list(self._collect(due))

    def _fill_slots(self) -> None:
        free_rows = [number for number, row in enumerate(self._rows) if row is None]
        while free_rows and (self._encoded.num_left or self._waiting):
            if not self._encoded.num_left:
                batch = list(islice(self._waiting, self._encoder_batch_size))
                self._encoded = _EncodedBatch(batch, self._encode(batch))
                for _ in batch:
                    self._waiting.popleft()
            rows = free_rows[: self._encoded.num_left]
            self._start(rows)
            del free_rows[: len(rows)]

    def _start(self, rows: Sequence[int]) -> None:
        """Start the next encoded windows in `rows`."""
        started = slice(self._encoded.num_started, self._encoded.num_started + len(rows))
        windows = self._encoded.windows[started]
        outputs = [output[started] for output in self._encoded.outputs]
        seeds = [noise_seed(window.id, window.temperature) for window in windows]
        self.decoder.prefill(rows, outputs, seeds, [window.temperature for window in windows])
        for row, window in zip(rows, windows, strict=True):
            self._rows[row] = _ActiveWindow(window, row, len(self.decoder.rules.prompt))
        self._encoded.num_started = started.stop

    def _compact_rows(self) -> None:
        """Move windows into the first rows when too few are left to fill all slots."""
        while None in self._rows:
            free = self._rows.index(None)
            last = max((row.row for row in self._rows if row is not None), default=-1)
            if last < free:
                break
            self.decoder.move(last, free)
            moved, self._rows[last] = self._rows[last], None
            assert moved is not None
            moved.row = free
            self._rows[free] = moved

    def _decode(self, num_rows: int, num_steps: int, *, speculate: bool) -> _Checkpoint:
        samples = any(row.window.temperature for row in self._rows if row is not None)
        for _ in range(num_steps):
            max_position = max(row.max_position for row in self._rows if row is not None)
            gained = self.decoder.step(num_rows, max_position, speculate=speculate, samples=samples)
            self._max_gained += gained
            for row in self._rows[:num_rows]:
                assert row is not None
                row.max_position += gained
        return _Checkpoint(self.decoder.snapshot(num_rows), self._rows[:num_rows], self._max_gained)

    def _timed_step(
        self, num_rows: int, trial: SpeculationTrial
    ) -> list[tuple[AudioWindow, Hypothesis]]:
        """Run one step with nothing else on the device, and record it in the trial."""
        self.decoder.snapshot(num_rows).wait()
        active = [row for row in self._rows[:num_rows] if row is not None]
        before = sum(window.max_position for window in active)
        speculate = trial.speculates
        started_s = perf_counter()
        checkpoint = self._decode(num_rows, 1, speculate=speculate)
        checkpoint.snapshot.wait()
        elapsed_s = perf_counter() - started_s
        ended = list(self._collect(checkpoint))
        after = sum(window.max_position for window in active)
        trial.record(elapsed_s, (after - before) / num_rows, speculated=speculate)
        return ended

    def _collect(self, checkpoint: _Checkpoint | None) -> Iterator[tuple[AudioWindow, Hypothesis]]:
        """Free the rows of windows that had ended at `checkpoint` and yield their hypotheses."""
        if checkpoint is None:
            return
        snapshot = checkpoint.snapshot
        snapshot.wait()
        positions, ended = snapshot.position.tolist(), snapshot.ended.tolist()
        for number, active in enumerate(checkpoint.rows):
            if active is None or active.has_ended:
                continue
            # what the row may have gained since the checkpoint is not known exactly yet
            active.max_position = positions[number] + self._max_gained - checkpoint.max_gained
            if ended[number]:
                active.has_ended = True
                self._rows[active.row] = None
                yield active.window, _hypothesis(snapshot, number, positions[number])


def _hypothesis(snapshot: Snapshot, row: int, position: int) -> Hypothesis:
    return Hypothesis(
        tokens=tuple(snapshot.tokens[row, : position + 1].tolist()),
        sum_logprob=float(snapshot.sum_logprob[row]),
        no_speech_prob=float(snapshot.no_speech[row]),
    )

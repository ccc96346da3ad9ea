"""Continuous batching: windows are encoded ahead, decoded in slots, and returned as they end.

A slot is refilled as soon as its window has ended. Tracks which window is in which row; it has no
notion of weights or decoding rules.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import cast

import torch
from torch import Tensor

from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.draft_length import DraftController
from tasks.whisper.decoding.noise import noise_seed
from tasks.whisper.decoding.slots import Hypothesis, Snapshot
from tasks.whisper.engine import AudioWindow


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


@dataclass(frozen=True, eq=False, slots=True)
class QueuedWindow:
    """A window to decode; `encoded` is its encoder output, (frames, width), if known already."""

    window: AudioWindow
    encoded: Tensor | None = None


@dataclass(slots=True)
class _ActiveWindow:
    """A window in `row`; `max_position` is an upper bound on the position of its last token.

    `can_draft` says whether the draft's cache has all of its tokens.
    """

    queued: QueuedWindow
    row: int
    max_position: int
    can_draft: bool
    has_ended: bool = False


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
        encode: Callable[[Sequence[AudioWindow]], Tensor],
        schedule: Schedule,
        drafts: DraftController | None,
        *,
        keep_encoded: bool = False,
        encode_draft: Callable[[Sequence[AudioWindow]], Tensor] | None = None,
    ) -> None:
        """With `keep_encoded`, ended windows are returned with their encoder output.

        `drafts` is given if the decoder has a draft, and chooses when it is used. A draft has the
        output of `encode`, or that of `encode_draft`, which runs for windows that may draft.
        """
        self.decoder, self._encode, self._encode_draft = decoder, encode, encode_draft
        self._schedule, self._drafts, self._keep_encoded = schedule, drafts, keep_encoded
        self._encoder_batch_size = min(schedule.encoder_batch_size, decoder.num_slots)
        self._waiting: deque[QueuedWindow] = deque()
        self._encoded: deque[QueuedWindow] = deque()
        self._rows: list[_ActiveWindow | None] = [None] * decoder.num_slots
        self._max_gained = 0
        self._uncollected: _Checkpoint | None = None
        self._timed_length: int | None = None
        self._tallies = torch.zeros((), dtype=torch.long)
        decoder.clear_tallies()

    @property
    def num_wanted(self) -> int:
        """How many more windows the next `advance` can use, in whole encoder batches."""
        num_free = sum(row is None for row in self._rows)
        num_missing = num_free - len(self._waiting) - len(self._encoded)
        batch_size = self._encoder_batch_size
        return max(0, -(-num_missing // batch_size)) * batch_size

    @property
    def unfinished(self) -> list[AudioWindow]:
        """All windows that were taken and have not been returned."""
        active = [row.queued for row in self._rows if row is not None]
        return [one.window for one in (*active, *self._encoded, *self._waiting)]

    def advance(self, windows: Sequence[QueuedWindow]) -> list[tuple[QueuedWindow, Hypothesis]]:
        """Take `windows`, decode a few steps, and return the windows that have ended.

        Raises `torch.OutOfMemoryError`; no window has then ended, so decode `unfinished` again.
        """
        self._waiting.extend(windows)
        self._fill_slots()
        self._compact_rows()
        num_rows = sum(row is not None for row in self._rows)
        if not num_rows:
            return []
        num_drafted, is_timed = self._drafting(num_rows)
        if is_timed and self._drafts is not None:
            if self._uncollected is not None:
                pending, self._uncollected = self._uncollected, None
                return list(self._collect(pending))
            return self._timed_step(num_rows, num_drafted, self._drafts)
        self._timed_length = None
        current = self._decode(num_rows, self._schedule.num_steps, num_drafted)
        due: _Checkpoint | None = current
        if self._schedule.is_pipelined:
            due, self._uncollected = self._uncollected, current
        return list(self._collect(due))

    def _drafting(self, num_rows: int) -> tuple[int, bool]:
        """How many tokens the next step drafts, and whether it is to be timed."""
        if self._drafts is None:
            return 0, False
        active = [row for row in self._rows if row is not None]
        if all(row.can_draft for row in active):
            is_timed = self._drafts.measures(num_rows)
            if (num_drafted := self._drafts.length(num_rows)) or is_timed:
                return num_drafted, is_timed
        for row in active:
            row.can_draft = False
        return 0, False

    def _fill_slots(self) -> None:
        free_rows = [number for number, row in enumerate(self._rows) if row is None]
        while free_rows and (self._encoded or self._waiting):
            if not self._encoded:
                batch = list(islice(self._waiting, self._encoder_batch_size))
                self._encoded.extend(self._with_encoder_output(batch))
                for _ in batch:
                    self._waiting.popleft()
            rows = free_rows[: len(self._encoded)]
            self._start(rows)
            del free_rows[: len(rows)]

    def _with_encoder_output(self, batch: Sequence[QueuedWindow]) -> list[QueuedWindow]:
        """Encode the windows that have not been encoded yet."""
        missing = [one.window for one in batch if one.encoded is None]
        outputs = iter(self._encode(missing) if missing else ())
        return [
            QueuedWindow(one.window, next(outputs)) if one.encoded is None else one for one in batch
        ]

    def _start(self, rows: Sequence[int]) -> None:
        """Start the next encoded windows in `rows`."""
        started = list(islice(self._encoded, len(rows)))
        windows = [one.window for one in started]
        encoded = [one.encoded for one in started if one.encoded is not None]
        outputs = torch.stack(encoded)
        seeds = [noise_seed(one.id, one.temperature, one.covered.seek) for one in windows]
        temperatures = [window.temperature for window in windows]
        self.decoder.prefill(rows, outputs, seeds, temperatures)
        can_draft = self._start_drafts(rows, windows, outputs)
        num_prompt = len(self.decoder.rules.prompt)
        for row, queued in zip(rows, started, strict=True):
            kept = queued if self._keep_encoded else QueuedWindow(queued.window)
            self._rows[row] = _ActiveWindow(kept, row, num_prompt, can_draft)
            self._encoded.popleft()

    def _start_drafts(
        self, rows: Sequence[int], windows: Sequence[AudioWindow], encoded: Tensor
    ) -> bool:
        """Start windows in the draft's cache, unless it has no use for it."""
        active = [row for row in self._rows if row is not None]
        num_coming = len(active) + len(self._encoded) + len(self._waiting)
        num_rows = min(num_coming, self.decoder.num_slots)
        if (
            self._drafts is None
            or not all(row.can_draft for row in active)
            or not self._drafts.may_draft(num_rows)
        ):
            return False
        started_s = perf_counter()
        if self._encode_draft is not None:
            encoded = self._encode_draft(windows)
        self.decoder.prefill_draft(rows, encoded)
        if not self._schedule.is_pipelined:
            self._drafts.record_prefill(perf_counter() - started_s, len(rows))
        return True

    def _compact_rows(self) -> None:
        """Move windows into the first rows when too few are left to fill all slots."""
        while None in self._rows:
            free = self._rows.index(None)
            last = max((row.row for row in self._rows if row is not None), default=-1)
            if last < free:
                break
            self.decoder.move(last, free)
            moved, self._rows[last] = self._rows[last], None
            self._rows[free] = moved
            cast("_ActiveWindow", moved).row = free

    def _decode(self, num_rows: int, num_steps: int, num_drafted: int) -> _Checkpoint:
        for _ in range(num_steps):
            self._step(num_rows, num_drafted)
        return _Checkpoint(self.decoder.snapshot(num_rows), self._rows[:num_rows], self._max_gained)

    def _step(self, num_rows: int, num_drafted: int) -> bool:
        """Run one step; returns whether it took as long as such steps do."""
        samples = any(row.queued.window.temperature for row in self._rows if row is not None)
        is_typical = self.decoder.step(
            num_rows, self._max_position, num_drafted=num_drafted, samples=samples
        )
        self._max_gained += num_drafted + 1
        for row in cast("list[_ActiveWindow]", self._rows[:num_rows]):
            row.max_position += num_drafted + 1
        return is_typical

    @property
    def _max_position(self) -> int:
        return max(row.max_position for row in self._rows if row is not None)

    def _timed_step(
        self, num_rows: int, num_drafted: int, drafts: DraftController
    ) -> list[tuple[QueuedWindow, Hypothesis]]:
        """Run one step with nothing else on the device, and record what it took."""
        if not num_drafted:
            self.decoder.follow(num_rows, self._max_position)
        self.decoder.snapshot(num_rows).wait()
        started_s = perf_counter()
        is_typical = self._step(num_rows, num_drafted)
        snapshot = self.decoder.snapshot(num_rows)
        snapshot.wait()
        elapsed_s = perf_counter() - started_s
        # the first step of a length finds nothing of its own in the processor's caches
        is_typical &= self._timed_length == num_drafted
        self._timed_length = num_drafted
        ended = list(self._collect(_Checkpoint(snapshot, self._rows[:num_rows], self._max_gained)))
        drafts.record_step(num_rows, num_drafted, elapsed_s if is_typical else None)
        return ended

    def _collect(self, checkpoint: _Checkpoint | None) -> Iterator[tuple[QueuedWindow, Hypothesis]]:
        """Free the rows of windows that had ended at `checkpoint` and yield their hypotheses."""
        if checkpoint is None:
            return
        snapshot = checkpoint.snapshot
        snapshot.wait()
        self._count(snapshot)
        positions, ended = snapshot.position.tolist(), snapshot.ended.tolist()
        for number, active in enumerate(checkpoint.rows):
            if active is None or active.has_ended:
                continue
            # what the row may have gained since the checkpoint is not known exactly yet
            active.max_position = positions[number] + self._max_gained - checkpoint.max_gained
            if ended[number]:
                active.has_ended = True
                self._rows[active.row] = None
                if self._drafts is not None:
                    self._drafts.record_end(positions[number] + 1 - len(self.decoder.rules.prompt))
                yield active.queued, snapshot.hypothesis(number)

    def _count(self, snapshot: Snapshot) -> None:
        if self._drafts is not None:
            self._drafts.record_tallies((snapshot.tallies - self._tallies).tolist())
            self._tallies = snapshot.tallies

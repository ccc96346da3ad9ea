"""How many tokens to draft in a step: the number that yields most tokens per second as measured.

Deals with counts and seconds alone; it has no notion of models.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

from tasks.whisper.decoding.acceptance import (
    LENGTHS,
    MAX_DRAFTED,
    Acceptance,
    DraftCounts,
    Tallies,
)

_LOG = logging.getLogger(__name__)

_GROUP_TIMES: Final = 2  # of a length, before another is tried
_GROUP_STEPS: Final = 6  # while CUDA graphs are recorded, steps say nothing
_FEW_CYCLES: Final = 2
_ENOUGH_CYCLES: Final = 5
_MAX_CYCLES: Final = 12
_SLOWER: Final = 1.25  # than the best: not tried any more
_NEAR_BREAK_EVEN: Final = 0.1
_MIN_GAIN: Final = 1.02
_STEPS_PER_CHOICE: Final = 512


class _Trial:
    """Seconds of steps at about the same number of rows, in cycles through the lengths.

    All lengths therefore meet the same positions, rows and disturbances. A length that is clearly
    slower than the best is dropped.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = tuple(lengths)
        self.remaining = list(lengths)
        self.cycles: list[dict[int, float]] = [{}]
        """Seconds of a step by row and length; the last cycle is not complete."""
        self.choice: int | None = None
        self.gain = 1.0
        """Speed of the best length with a draft, relative to plain steps."""
        self._order = deque(lengths)
        self._group_s: list[float] = []
        self._num_steps = 0

    @property
    def length(self) -> int:
        """The length of the next step."""
        return self._order[0] if self.choice is None else self.choice

    @property
    def num_cycles(self) -> int:
        """Complete cycles."""
        return len(self.cycles) - 1

    def record(self, length: int, seconds_per_row: float | None) -> bool:
        """Take in a step; returns whether a cycle through all remaining lengths has ended."""
        if length != self._order[0]:  # of another thread, which is a group behind
            return False
        self._num_steps += 1
        if seconds_per_row is not None:
            self._group_s.append(seconds_per_row)
        if len(self._group_s) < _GROUP_TIMES and self._num_steps < _GROUP_STEPS:
            return False
        if self._group_s:
            self.cycles[-1][length] = fmean(self._group_s)
        self._group_s, self._num_steps = [], 0
        self._order.popleft()
        if not self._order:
            self.cycles.append({})
        return not self._order

    def next_cycle(self) -> None:
        """Begin another cycle through the remaining lengths, in the opposite order."""
        self._order.extend(sorted(self.remaining, reverse=self.num_cycles % 2 == 1))

    def step_s(self) -> dict[int, float]:
        """Seconds of a step by row and length: from ratios within a cycle, which noise shares."""
        measured = [cycle for cycle in self.cycles if self.remaining[0] in cycle]
        if not measured:
            return {}
        reference = self.remaining[0]
        reference_s = median(cycle[reference] for cycle in measured)
        ratios = {
            length: [cycle[length] / cycle[reference] for cycle in measured if length in cycle]
            for length in self.lengths
        }
        return {length: reference_s * median(found) for length, found in ratios.items() if found}


class DraftController:
    """Chooses how many tokens the next step drafts; several schedulers may ask and record.

    For each power of two of rows a trial measures what steps of each length take, in turn; the
    acceptance is that of all steps. While the best draft and plain steps differ by less than a
    tenth, it is measured longer, and again in the next call. With `forced`, one of `LENGTHS`,
    every step drafts so many tokens, and nothing is measured.
    """

    def __init__(self, forced: int | None = None) -> None:
        if forced is not None and forced not in LENGTHS:
            raise ValueError(f"{forced} drafted tokens; expected one of {LENGTHS}")
        self._forced = forced
        self._lock = threading.Lock()
        self._acceptance = Acceptance()
        self._trials: dict[int, _Trial] = {}
        self._tallies = [[0] * (MAX_DRAFTED + 1) for _ in range(2)]
        self._num_steps_at_choice = 0
        self._prefill_s = 0.0
        self._num_prefilled = 0
        self._num_ended_tokens = 0
        self._num_ended = 0

    @property
    def counts(self) -> DraftCounts:
        """Everything that was drafted so far, as far as steps have been collected."""
        with self._lock:
            tried, survived = self._tallies
            return DraftCounts(
                num_rounds=tried[1], num_drafted=sum(tried[1:]), num_accepted=sum(survived[1:])
            )

    def length(self, num_rows: int) -> int:
        """How many tokens the next step of so many rows drafts."""
        if self._forced is not None:
            return self._forced
        with self._lock:
            return self._trial(num_rows).length

    def measures(self, num_rows: int) -> bool:
        """Whether the next step of so many rows is to be timed."""
        if self._forced is not None:
            return False
        with self._lock:
            return self._trial(num_rows).choice is None

    def may_draft(self, num_rows: int) -> bool:
        """Whether windows that start among so many rows will have use for a draft."""
        return self.measures(num_rows) or self.length(num_rows) > 0

    def renew(self) -> None:
        """Measure again where the choice was close; called as new windows come."""
        with self._lock:
            for rows, trial in self._trials.items():
                if trial.choice is not None and abs(trial.gain - 1) < _NEAR_BREAK_EVEN:
                    self._trials[rows] = _Trial(sorted({0, *trial.remaining}))

    def record_prefill(self, seconds: float, num_windows: int) -> None:
        """Record what it took to start windows in the draft's cache."""
        with self._lock:
            self._prefill_s += seconds
            self._num_prefilled += num_windows

    def record_end(self, num_tokens: int) -> None:
        """Record the length of a hypothesis."""
        with self._lock:
            self._num_ended_tokens += num_tokens
            self._num_ended += 1

    def record_tallies(self, tallies: Tallies) -> None:
        """Record what steps have gained since this was called last."""
        with self._lock:
            self._acceptance.add(tallies)
            for total, new in zip(self._tallies, tallies, strict=True):
                total[:] = [one + other for one, other in zip(total, new, strict=True)]
            if self._tallies[0][1] - self._num_steps_at_choice > _STEPS_PER_CHOICE:
                self._num_steps_at_choice = self._tallies[0][1]
                for trial in self._trials.values():
                    if trial.choice is not None:
                        self._choose(trial)

    def record_step(self, num_rows: int, length: int, seconds: float | None) -> None:
        """Record the duration of a step, None if it is not what such a step takes."""
        with self._lock:
            trial = self._trial(num_rows)
            if trial.choice is not None:
                return
            if trial.record(length, None if seconds is None else seconds / num_rows):
                self._end_cycle(trial, num_rows)

    def _trial(self, num_rows: int) -> _Trial:
        return self._trials.setdefault((num_rows - 1).bit_length(), _Trial(LENGTHS))

    def _end_cycle(self, trial: _Trial, num_rows: int) -> None:
        times = self._seconds_per_token(trial)
        if trial.num_cycles >= _FEW_CYCLES and times:
            limit = _SLOWER * min(times.values())
            trial.remaining = [one for one in trial.remaining if times.get(one, 0.0) <= limit]
        is_close = len(trial.remaining) > 1 and abs(self._gain(times) - 1) < _NEAR_BREAK_EVEN
        if trial.num_cycles < (_MAX_CYCLES if is_close else _ENOUGH_CYCLES):
            trial.next_cycle()
            return
        self._choose(trial)
        self._log(trial, num_rows)

    def _choose(self, trial: _Trial) -> None:
        """The fastest length; plain steps unless a draft gains something."""
        times = self._seconds_per_token(trial)
        trial.gain = self._gain(times)
        drafted = [length for length in times if length]
        trial.choice = min(drafted, key=lambda one: times[one]) if trial.gain > _MIN_GAIN else 0

    def _gain(self, seconds_per_token: dict[int, float]) -> float:
        drafted = [seconds for length, seconds in seconds_per_token.items() if length]
        if 0 not in seconds_per_token or not drafted:
            return 1.0
        return seconds_per_token[0] / min(drafted)

    def _seconds_per_token(self, trial: _Trial) -> dict[int, float]:
        """By length, with the draft's share in starting a window."""
        start_s = 0.0
        if self._num_prefilled and self._num_ended:
            tokens_per_window = self._num_ended_tokens / self._num_ended
            start_s = self._prefill_s / self._num_prefilled / tokens_per_window
        return {
            length: seconds / self._acceptance.expected_tokens(length)
            + (start_s if length else 0.0)
            for length, seconds in trial.step_s().items()
        }

    def _log(self, trial: _Trial, num_rows: int) -> None:
        times = self._seconds_per_token(trial)
        drafted = [length for length in times if length]
        if 0 not in times or not drafted:
            return
        best = min(drafted, key=lambda one: times[one])
        step_ms = {one: 1e3 * num_rows * seconds for one, seconds in trial.step_s().items()}
        _LOG.info(
            "speculative decoding of %d windows is %s: %.2f times as fast; a step that verifies %d"
            " drafted tokens gains %.2f tokens in %.1f ms, a plain step takes %.1f ms",
            num_rows,
            "on" if trial.choice else "off",
            trial.gain,
            best,
            self._acceptance.expected_tokens(best),
            step_ms[best],
            step_ms[0],
        )

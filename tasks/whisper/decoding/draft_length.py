"""How many tokens to draft in a step: the number that yields most tokens per second as measured.

Deals with counts and seconds alone; it has no notion of models.
"""

import logging
import threading
from statistics import median
from typing import Final

from tasks.whisper.decoding.acceptance import (
    LENGTHS,
    MAX_DRAFTED,
    Acceptance,
    DraftCounts,
    Tallies,
)
from tasks.whisper.decoding.draft_trial import Trial, are_sure

_LOG = logging.getLogger(__name__)

_FEW_CYCLES: Final = 2
_ENOUGH_CYCLES: Final = 6
_MAX_CYCLES: Final = 16
_SLOWER: Final = 1.25  # than the best: not tried any more
_MUCH_SLOWER: Final = 1.6  # while there are few cycles
_NEAR_BREAK_EVEN: Final = 0.1
_MIN_GAIN: Final = 1.05
_STEPS_PER_CHOICE: Final = 512


class DraftController:
    """Chooses how many tokens the next step drafts; several schedulers may ask and record.

    For each power of two of rows a trial measures what steps of each length take, in turn; the
    acceptance is that of all steps. While the best draft and plain steps differ by less than a
    tenth, it is measured longer. When in doubt, steps are plain. A choice is made again in a later
    call, after many times the steps of its trial. What pays for many rows pays for fewer, which
    read the same weights. With `forced`, one of `LENGTHS`, every step drafts so many tokens, and
    nothing is measured.
    """

    def __init__(self, forced: int | None = None) -> None:
        if forced is not None and forced not in LENGTHS:
            raise ValueError(f"{forced} drafted tokens; expected one of {LENGTHS}")
        self._forced = forced
        self._lock = threading.Lock()
        self._acceptance = Acceptance()
        self._trials: dict[int, Trial] = {}
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

    @property
    def is_open(self) -> bool:
        """Whether the choice for the largest number of rows so far is still to be made."""
        with self._lock:
            return bool(self._trials) and self._trials[max(self._trials)].choice is None

    def may_draft(self, num_rows: int) -> bool:
        """Whether windows that start among so many rows will have use for a draft."""
        return self.measures(num_rows) or self.length(num_rows) > 0

    def renew(self) -> None:
        """Measure again what was chosen long ago; called as new windows come."""
        with self._lock:
            for rows, trial in self._trials.items():
                if trial.is_due(self._num_row_steps):
                    self._trials[rows] = Trial(LENGTHS, self._num_row_steps)

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

    @property
    def _num_row_steps(self) -> int:
        return self._tallies[0][0]

    def _trial(self, num_rows: int) -> Trial:
        size = (num_rows - 1).bit_length()
        trial = self._trials.get(size)
        if trial is None or trial.choice is None:
            larger = [one for one in self._trials if one > size and self._trials[one].choice]
            if larger:
                return self._trials[min(larger)]
        if trial is None:
            trial = self._trials[size] = Trial(LENGTHS, self._num_row_steps)
        return trial

    def _end_cycle(self, trial: Trial, num_rows: int) -> None:
        times = self._seconds_per_token(trial)
        if trial.num_cycles >= _FEW_CYCLES and times:
            is_early = trial.num_cycles < _ENOUGH_CYCLES
            limit = (_MUCH_SLOWER if is_early else _SLOWER) * min(times.values())
            trial.remaining = [
                one for one in trial.remaining if not one or times.get(one, 0.0) <= limit
            ]
        self._choose(trial)
        is_close = abs(trial.gain - 1) < _NEAR_BREAK_EVEN or not are_sure(trial.gains)
        num_cycles = _MAX_CYCLES if is_close else _ENOUGH_CYCLES
        if not trial.is_hopeless and trial.num_cycles < num_cycles:
            trial.choice = None
            trial.next_cycle()
            return
        trial.chosen_at = self._num_row_steps
        self._log(trial, num_rows)

    def _choose(self, trial: Trial) -> None:
        """The fastest length that surely gains enough; plain steps if none does."""
        times = self._seconds_per_token(trial)
        trial.choice, trial.gains = 0, ()
        for length in sorted((one for one in times if one), key=lambda one: times[one]):
            gains = [
                cycle[0] / self._per_token(length, cycle[length])
                for cycle in trial.cycles
                if cycle.keys() >= {0, length}
            ]
            trial.gains = trial.gains or gains  # of the fastest, if none is chosen
            if are_sure(gains) and median(gains) > _MIN_GAIN:
                trial.choice, trial.gains = length, gains
                return

    def _seconds_per_token(self, trial: Trial) -> dict[int, float]:
        return {
            length: self._per_token(length, seconds) for length, seconds in trial.step_s().items()
        }

    def _per_token(self, length: int, step_s: float) -> float:
        """Seconds per token and row, with the draft's share in starting a window."""
        start_s = 0.0
        if length and self._num_prefilled and self._num_ended:
            tokens_per_window = self._num_ended_tokens / self._num_ended
            start_s = self._prefill_s / self._num_prefilled / tokens_per_window
        return step_s / self._acceptance.expected_tokens(length) + start_s

    def _log(self, trial: Trial, num_rows: int) -> None:
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

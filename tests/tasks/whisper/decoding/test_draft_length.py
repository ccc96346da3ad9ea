"""The number of drafted tokens that is chosen, on simulated machines with noise."""

import logging
import random

import pytest

from tasks.whisper.decoding.acceptance import LENGTHS, MAX_DRAFTED
from tasks.whisper.decoding.draft_length import DraftController

MAX_STEPS = 1_000


class Machine:
    """Steps of `num_rows` rows: a plain one takes 10 ms, drafting and verifying more.

    Each drafted token is accepted with a probability of `acceptance`, and the time of a step is
    up to `noise` too long, more so for a while now and then.
    """

    def __init__(self, *, draft_ms, verify_ms, acceptance, noise=0.0, seed=0):
        self.draft_ms, self.verify_ms, self.acceptance = draft_ms, verify_ms, acceptance
        self.noise, self.random = noise, random.Random(seed)
        self.num_steps = 0

    def step_ms(self, length):
        return 10.0 + length * (self.draft_ms + self.verify_ms)

    def run(self, controller, num_rows):
        length = controller.length(num_rows)
        self.num_steps += 1
        is_busy = self.num_steps // 40 % 3 == 0
        slower = 1 + self.noise * self.random.random() * (5 if is_busy else 1)
        controller.record_step(num_rows, length, 1e-3 * self.step_ms(length) * slower)
        tallies = [[0] * (MAX_DRAFTED + 1) for _ in range(2)]
        for _ in range(num_rows):
            num_gained = 1
            while num_gained <= length and self.random.random() < self.acceptance:
                num_gained += 1
            for number in range(length + 1):
                tallies[0][number] += 1
                tallies[1][number] += num_gained > number
        controller.record_tallies(tallies)

    def settle(self, controller, num_rows):
        for _ in range(MAX_STEPS):
            if not controller.measures(num_rows):
                return controller.length(num_rows)
            self.run(controller, num_rows)
        raise AssertionError(f"no choice after {MAX_STEPS} steps")

    def speed(self, length):
        """Relative to plain steps."""
        gained = sum(self.acceptance**number for number in range(length + 1))
        return gained * self.step_ms(0) / self.step_ms(length)

    def best(self):
        return max(LENGTHS, key=self.speed)


@pytest.mark.parametrize(
    ("draft_ms", "verify_ms", "acceptance", "expected"),
    [(0.5, 0.1, 0.95, 8), (2.0, 0.5, 0.8, 4), (9.0, 3.0, 0.9, 0), (1.0, 0.2, 0.05, 0)],
)
@pytest.mark.parametrize("num_rows", [1, 4, 16])
def test_the_fastest_length_is_chosen(draft_ms, verify_ms, acceptance, expected, num_rows):
    machine = Machine(draft_ms=draft_ms, verify_ms=verify_ms, acceptance=acceptance)
    assert machine.best() == expected
    chosen = machine.settle(DraftController(), num_rows)
    assert machine.speed(chosen) >= 0.95 * machine.speed(expected)


@pytest.mark.parametrize("acceptance", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_noise_costs_a_few_percent_at_most(acceptance):
    """Also near break-even, where drafts gain or lose little."""
    speeds = []
    for seed in range(20):
        machine = Machine(draft_ms=4.0, verify_ms=1.0, acceptance=acceptance, noise=0.1, seed=seed)
        chosen = machine.settle(DraftController(), 4)
        speeds.append(machine.speed(chosen) / machine.speed(machine.best()))
    assert min(speeds) > 0.9
    assert sum(speeds) / len(speeds) > 0.98


def test_lengths_are_measured_by_turns():
    controller, measured = DraftController(), []
    machine = Machine(draft_ms=1.0, verify_ms=0.1, acceptance=0.9)
    while controller.measures(4):
        measured.append(controller.length(4))
        machine.run(controller, 4)
    num_groups = len(LENGTHS)
    assert measured[: 2 * num_groups] == [length for length in LENGTHS for _ in range(2)]
    assert measured[2 * num_groups : 4 * num_groups] == measured[: 2 * num_groups][::-1]


def test_each_number_of_rows_has_its_own_choice():
    """A full batch is bound by computing, a single row by reading weights."""
    controller = DraftController()
    alone = Machine(draft_ms=1.0, verify_ms=0.1, acceptance=0.9)
    together = Machine(draft_ms=8.0, verify_ms=8.0, acceptance=0.9)
    assert alone.settle(controller, 1) > 0
    assert controller.measures(16)
    assert together.settle(controller, 16) == 0
    assert controller.length(1) > 0
    assert not controller.may_draft(16)
    assert not controller.may_draft(9)  # up to 16 rows are alike
    assert controller.may_draft(8)


def test_the_length_follows_the_acceptance():
    controller = DraftController()
    good = Machine(draft_ms=1.0, verify_ms=0.2, acceptance=0.95)
    assert good.settle(controller, 4) >= 6
    bad = Machine(draft_ms=1.0, verify_ms=0.2, acceptance=0.3)
    for _ in range(5_000):
        bad.run(controller, 4)
    assert controller.length(4) == 0  # of short drafts too little is known
    controller.renew()
    assert bad.settle(controller, 4) == bad.best() == 1


def test_starting_windows_in_the_draft_counts():
    """By tokens a draft gains a tenth, but windows are short."""
    machine = Machine(draft_ms=5.0, verify_ms=0.0, acceptance=0.7)
    assert machine.settle(DraftController(), 1) == 1
    controller = DraftController()
    for _ in range(4):
        controller.record_prefill(0.1, 1)
        controller.record_end(20)
    assert machine.settle(controller, 1) == 0


@pytest.mark.parametrize("draft_ms", [7.0, 8.5, 9.0, 10.0])
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_when_in_doubt_nothing_is_drafted(draft_ms, noise):
    """The best of several lengths must not be chosen for its luck."""
    speeds = []
    for seed in range(50):
        machine = Machine(draft_ms=draft_ms, verify_ms=1.0, acceptance=0.8, noise=noise, seed=seed)
        speeds.append(machine.speed(machine.settle(DraftController(), 4)))
    assert sum(speed < 0.97 for speed in speeds) <= 1
    assert sum(speeds) / len(speeds) > 0.99


@pytest.mark.parametrize(("draft_ms", "acceptance"), [(7.5, 0.9), (9.0, 0.8), (20.0, 0.5)])
def test_trials_cost_few_percent_in_the_long_run(draft_ms, acceptance):
    """Calls are short: a choice is not made again with each of them."""
    machine = Machine(draft_ms=draft_ms, verify_ms=1.0, acceptance=acceptance, noise=0.1)
    controller, spent_ms, gained = DraftController(), 0.0, 0
    for number in range(10_000):
        if number % 100 == 0:
            controller.renew()
        length = controller.length(16)
        machine.run(controller, 16)
        spent_ms += machine.step_ms(length)
        gained += sum(acceptance**one for one in range(length + 1))
    assert gained * machine.step_ms(0) / spent_ms > 0.97


def test_a_choice_is_made_again_after_much_work():
    """A disturbed trial does not matter for ever."""
    for draft_ms, acceptance in [(7.5, 0.9), (1.0, 0.9)]:
        controller = DraftController()
        machine = Machine(draft_ms=draft_ms, verify_ms=0.5, acceptance=acceptance)
        machine.settle(controller, 4)
        controller.renew()
        assert not controller.measures(4)
        for _ in range(70 * machine.num_steps):
            machine.run(controller, 4)
        controller.renew()
        assert controller.measures(4)


def test_a_draft_that_pays_for_many_rows_is_not_tried_for_fewer():
    """The last windows of each call would be spent on trials."""
    controller = DraftController()
    machine = Machine(draft_ms=1.0, verify_ms=0.1, acceptance=0.9)
    assert controller.measures(4)
    assert controller.is_open
    chosen = machine.settle(controller, 16)
    assert not controller.is_open
    assert not controller.measures(4)
    assert controller.length(4) == controller.length(1) == chosen > 0
    assert controller.measures(17)


def test_steps_that_are_being_recorded_do_not_count():
    """Until there are times of both kinds, nothing is drafted."""
    controller = DraftController()
    for _ in range(MAX_STEPS):
        controller.record_step(4, controller.length(4), None)
    assert not controller.measures(4)
    assert controller.length(4) == 0


def test_the_choice_is_logged(caplog):
    machine = Machine(draft_ms=20.0, verify_ms=10.0, acceptance=0.5)
    with caplog.at_level(logging.INFO):
        machine.settle(DraftController(), 16)
    [record] = caplog.records
    message = record.getMessage()
    assert message.startswith("speculative decoding of 16 windows is off: 0.")
    assert "a step that verifies 1 drafted tokens gains 1." in message
    assert message.endswith("tokens in 40.0 ms, a plain step takes 10.0 ms")


@pytest.mark.parametrize("length", LENGTHS)
def test_a_length_can_be_forced(length):
    controller = DraftController(length)
    assert controller.length(1) == controller.length(64) == length
    assert not controller.measures(4)
    assert controller.may_draft(4) == (length > 0)


def test_other_lengths_are_refused():
    with pytest.raises(ValueError, match=r"3 drafted tokens; expected one of \(0, 1, 2, 4, 6, 8\)"):
        DraftController(3)

"""Steps of several lengths in turn, and the verdict of their cycles."""

import pytest

from tasks.whisper.decoding.draft_trial import Trial, are_sure


def cycle(trial, seconds):
    """A step of each length that is left, twice."""
    has_ended = False
    while not has_ended:
        has_ended = trial.record(trial.length, seconds[trial.length])


def test_a_step_takes_what_it_takes_beside_plain_ones():
    """A cycle on a busy machine, in which all take three times as long, changes nothing."""
    trial = Trial((0, 2), started_at=0)
    for slower in (1.0, 1.0, 3.0):
        cycle(trial, {0: 1.0 * slower, 2: 1.5 * slower})
        trial.next_cycle()
    assert trial.num_cycles == 3
    assert trial.step_s() == pytest.approx({0: 1.0, 2: 1.5})


@pytest.mark.parametrize(
    ("num_won", "num_lost", "expected"),
    [(4, 0, True), (0, 5, True), (4, 1, False), (3, 0, False), (12, 4, True), (11, 5, False)],
)
def test_a_draft_has_to_win_nearly_all_cycles(num_won, num_lost, expected):
    assert are_sure([1.2] * num_won + [0.9] * num_lost) == expected


def test_another_trial_is_due_after_many_times_its_work():
    trial = Trial((0, 2), started_at=100)
    assert not trial.is_due(10_000)
    trial.choice, trial.chosen_at = 2, 200
    assert not trial.is_due(6_599)
    assert trial.is_due(6_600)
    trial.choice, trial.remaining = 0, [0]
    assert not trial.is_due(100_000)


def test_steps_of_another_thread_are_left_out():
    trial = Trial((0, 2), started_at=0)
    assert not trial.record(2, 1.0)
    assert trial.length == 0
    assert trial.step_s() == {}

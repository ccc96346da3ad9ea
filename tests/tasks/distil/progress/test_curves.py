"""Curves keep the mean losses and the scores of a training, in few points."""

import re
from dataclasses import replace

import pytest

from tasks.distil.progress.curves import best_row, loss_chart, periods, score_chart, sparkline
from tasks.distil.progress.rows import TrainingRow

NAN = float("nan")


def training(num: int, validated_every: int | None = None) -> list[TrainingRow]:
    """Losses that are the number of the update, and scores that fall to 1 and rise again."""
    return [
        TrainingRow(
            step=step,
            loss=float(step),
            ce=step / 2,
            kl=step / 4,
            learning_rate=1e-4,
            validation=1.0 + abs(step - num / 2)
            if validated_every and step % validated_every == 0
            else None,
        )
        for step in range(1, num + 1)
    ]


def test_a_period_has_the_mean_losses_up_to_a_validation() -> None:
    found = periods(training(6, 2), 20)
    assert [(row.step, row.loss, row.ce) for row in found] == [
        (2, 1.5, 0.75), (4, 3.5, 1.75), (6, 5.5, 2.75),
    ]  # fmt: skip
    assert [row.validation for row in found] == [2.0, 2.0, 4.0]


def test_periods_in_excess_are_joined_and_the_last_is_kept() -> None:
    found = periods(training(100, 10), 4)
    assert [row.step for row in found] == [20, 50, 70, 100]
    assert found[0].loss == sum(range(1, 21)) / 20


@pytest.mark.parametrize("num", [1, 7, 20, 1_000])
def test_without_validation_periods_are_even(num: int) -> None:
    found = periods(training(num), 20)
    assert len(found) == min(num, 20)
    assert found[-1].step == num
    assert sum(row.loss for row in found) / len(found) == pytest.approx((num + 1) / 2)


def test_updates_after_the_last_validation_are_a_period() -> None:
    assert [row.step for row in periods(training(7, 3), 20)] == [3, 6, 7]


def test_no_rows_have_no_periods() -> None:
    assert periods([], 20) == []


def test_what_could_not_be_measured_has_no_score() -> None:
    rows = [
        replace(row, validation=score) for row, score in zip(training(2), (NAN, 5.0), strict=True)
    ]
    best = best_row(rows)
    assert best is not None and best.step == 2
    assert best_row(rows[:1]) is None
    assert "nan" not in score_chart(rows).lower() + score_chart(rows[:1]).lower()
    assert sparkline([NAN, 2.0, 1.0], 5) == "█▁"


def test_the_best_row_is_the_first_of_the_lowest_score() -> None:
    assert best_row(training(10)) is None
    best = best_row(training(100, 10))
    assert best is not None
    assert (best.step, best.validation) == (50, 1.0)


def test_charts_stay_within_their_frame() -> None:
    for chart, num_points in ((loss_chart(training(5_000)), 600), (score_chart(training(9, 3)), 3)):
        ((width, height),) = re.findall(r'viewBox="0 0 (\d+) (\d+)"', chart)
        lines = " ".join(re.findall(r'<polyline points="([^"]*)"', chart))
        points = re.findall(r"([\d.-]+),([\d.-]+)", lines)
        assert len(points) == num_points
        assert all(0 <= float(x) <= int(width) for x, _ in points)
        assert all(0 <= float(y) <= int(height) for _, y in points)


def test_the_distance_of_hidden_states_is_drawn_if_it_is_part_of_the_loss() -> None:
    assert "MSE" not in loss_chart(training(5))
    assert "MSE" in loss_chart([replace(row, mse=0.5) for row in training(5)])

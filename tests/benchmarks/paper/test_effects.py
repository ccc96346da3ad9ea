"""What the ablations say, in numbers that can be checked by hand."""

import pytest

from benchmarks.paper.effects import effects_table, hours_sentence, law_of_hours, points_by_hours
from configs.evaluate import STUDENT
from flows.state.grid.report import GridReport, GridRow
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.statistics.comparison import RunDifference


def difference(of_set: str | None, points: float) -> RunDifference:
    return RunDifference(
        model=STUDENT, condition=CLEAN, set=of_set, num_utterances=3, num_only_in_a=0,
        num_only_in_b=0, wer_percent_a=5.0, wer_percent_b=5.0 + points, difference=points,
        interval=(points - 1, points + 1), p_value=0.2,
    )  # fmt: skip


def test_each_run_has_a_row_with_its_sets_and_the_mean() -> None:
    effects = {
        "more": [difference("a/test", 2.0), difference("b/test", 4.0), difference(None, 3.0)],
        "less": [difference("b/test", -0.5)],
    }
    columns, rows = effects_table(effects)
    assert columns == ("run", "a/test", "b/test", "mean")
    assert [*rows] == [
        ("more", "+2.00 (1.0 to 3.0)", "+4.00 (3.0 to 5.0)", "+3.00 (2.0 to 4.0)"),
        ("less", "-", "-0.50 (-1.5 to 0.5)", "-"),
    ]


def row(fraction: float, hours: float | None, rates: dict[str, float], layers: int = 4) -> GridRow:
    return GridRow(
        name="x", config="x", seed=0, pending="", hours=hours, wer_percent_by_corpus=rates,
        values={"filter.fraction": fraction, "distil.decoder_layers": layers},
    )  # fmt: skip


def test_points_are_of_runs_that_differ_in_their_hours_alone() -> None:
    grid = GridReport(
        name="x", base="x", settings=("filter.fraction", "distil.decoder_layers"),
        reference={"filter.fraction": 1.0, "distil.decoder_layers": 4}, has_seeds=False,
        pending="", groups=(), teacher_wer_percent=5.0, teacher_wer_percent_by_corpus={}, paper=(),
        rows=(
            row(1.0, 6.0, {"a": 8.0, "b": 9.0}), row(0.5, 3.0, {"a": 10.0}),
            row(1.0, 6.0, {"a": 20.0}, layers=2), row(0.25, None, {"a": 30.0}),
        ),
    )  # fmt: skip
    assert points_by_hours(grid) == {"a": [(3.0, 10.0), (6.0, 8.0)], "b": [(6.0, 9.0)]}


def test_a_power_law_is_found() -> None:
    points = [(hours, 5.0 + 6.0 * hours**-0.4) for hours in (0.5, 2.0, 4.0, 9.0)]
    law = law_of_hours(points, 5.0)
    assert law is not None
    assert law == pytest.approx((6.0, -0.4))
    wanted = (2.0 / 6.0) ** (1 / -0.4)
    assert f"{wanted:,.1f} hours would bring it to 2 points" in hours_sentence(points, 5.0)
    assert "hours ^ -0.40" in hours_sentence(points, 5.0)


def test_a_law_is_not_believed_far_from_its_points() -> None:
    for exponent in (-0.1, -0.0005):
        points = [(hours, 5.0 + 6.0 * hours**exponent) for hours in (0.5, 2.0, 4.0)]
        sentence = hours_sentence(points, 5.0)
        assert f"hours ^ {exponent:.2f}" in sentence
        assert sentence.endswith("bring it to 2 points: more than 10 times those tried.")


@pytest.mark.parametrize(
    "points", [[], [(1.0, 9.0), (2.0, 8.0)], [(1.0, 7.0), (2.0, 8.0), (4.0, 9.0)]]
)
def test_without_a_fall_there_is_no_law(points: list[tuple[float, float]]) -> None:
    assert law_of_hours(points, 5.0) is None
    assert "does not fall" in hours_sentence(points, 5.0)
    assert "does not fall" in hours_sentence(points, None)

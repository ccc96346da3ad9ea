"""Two runs side by side on a terminal of 80 columns."""

from flows.commands.views.comparison import comparison_view
from flows.state.evaluation.comparison import RunComparison
from tasks.evaluate.statistics.comparison import RunDifference
from tests.flows.commands.test_views import assert_readable


def row(model: str, condition: str, name: str | None, points: float | None) -> RunDifference:
    is_both = points is not None
    return RunDifference(
        model=model,
        condition=condition,
        set=name,
        num_utterances=1_200 if is_both else 0,
        num_only_in_a=0 if is_both else 1_234,
        num_only_in_b=3,
        wer_percent_a=12.5 if is_both else None,
        wer_percent_b=12.5 + points if points is not None else None,
        difference=points,
        interval=(points - 1, points + 1) if points is not None else None,
        p_value=0.04 if is_both else None,
    )


COMPARISON = RunComparison(
    a="configs/full.yaml",
    b="configs/of-a-long-name-with-another-threshold.yaml",
    rows=(
        *(row("teacher", "clean", name, 0.0) for name in ("peoples_speech/validation", None)),
        row("student", "clean", "peoples_speech/validation", -1.25),
        row("student", "clean", "fleurs/validation", None),
        row("student", "clean", None, -1.25),
        row("student", "white_10db", "peoples_speech/validation", 2.0),
        row("student", "white_10db", None, 2.0),
    ),
)


def test_the_student_comes_first_and_noise_has_its_mean_alone() -> None:
    text = assert_readable(comparison_view(COMPARISON))
    assert text.index("student: WER %") < text.index("teacher: WER %")
    lines = [line.split() for line in text.splitlines()]
    expected = ["peoples_speech/validation", "clean", "12.50", "11.25", "-1.25"]
    assert next(line[:5] for line in lines if line[:2] == expected[:2]) == expected
    assert not any(line[:2] == ["peoples_speech/validation", "white_10db"] for line in lines)
    assert any(line[:5] == ["mean", "white_10db", "12.50", "14.50", "+2.00"] for line in lines)


def test_what_only_one_run_has_is_counted() -> None:
    text = assert_readable(comparison_view(COMPARISON))
    (counts,) = (line.split() for line in text.splitlines() if "fleurs" in line and "1,234" in line)
    assert counts[-3:] == ["0", "1,234", "3"]

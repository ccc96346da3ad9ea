"""The page of a training in the UI."""

import re
from base64 import b64decode

from flows.dispatch.curves import curves_page
from tasks.distil.progress.rows import TrainingRow


def page(*scores: float | None) -> str:
    rows = [
        TrainingRow(
            step=step, loss=2.0 / step, ce=1.0, kl=0.5, learning_rate=1e-4, validation=score
        )
        for step, score in enumerate(scores, start=1)
    ]
    return "\n".join(curves_page(rows))


def test_the_distance_of_hidden_states_has_a_column_if_it_is_in_the_loss() -> None:
    row = TrainingRow(step=1, loss=2.0, ce=1.0, kl=0.5, mse=0.25, learning_rate=1e-4)
    assert list(curves_page([row]))[-3:] == [
        "| update | loss | CE | KL | MSE | WER % |",
        "|---:|---:|---:|---:|---:|---:|",
        "| 1 | 2.0000 | 1.0000 | 0.5000 | 0.2500 |  |",
    ]
    assert "MSE" not in page(None)


def pictures(text: str) -> dict[str, str]:
    found = re.findall(r"!\[([^\]]*)\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", text)
    return {name: b64decode(data).decode() for name, data in found}


def test_the_page_has_both_charts_and_a_table() -> None:
    text = page(None, 30.0, None, 20.0)
    assert text.startswith("Lowest word error rate: 20.00 %, after update 4.")
    assert all(chart.startswith("<svg") for chart in pictures(text).values())
    assert list(pictures(text)) == ["losses", "word error rates"]
    assert text.splitlines()[-2:] == [
        "| 2 | 1.5000 | 1.0000 | 0.5000 | 30.00 |",
        "| 4 | 0.5833 | 1.0000 | 0.5000 | 20.00 |",
    ]


def test_without_validation_there_are_losses_alone() -> None:
    text = page(None, None)
    assert list(pictures(text)) == ["losses"]
    assert "WER: " not in text
    assert text.splitlines()[-1] == "| 2 | 1.0000 | 1.0000 | 0.5000 |  |"


def test_a_page_stays_small() -> None:
    scores = [30.0 if step % 5_000 == 0 else None for step in range(1, 80_001)]
    assert len(page(*scores)) < 40_000

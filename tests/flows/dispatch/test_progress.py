"""What the bars of a run say."""

import pytest

from flows.dispatch.progress import TrainingBars
from tasks.distil.progress.rows import TrainingRow


class ShownBar:
    def __init__(self) -> None:
        self.step, self.text = 0, ""

    def advance_to(self, num_done: int) -> None:
        self.step = num_done

    def say(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize(
    ("mse", "text"),
    [
        (0.0, "loss 2.000 = CE 1.000, KL 0.500; lr 1.0e-04"),
        (0.25, "loss 2.000 = CE 1.000, KL 0.500, MSE 0.250; lr 1.0e-04"),
    ],
)
def test_the_terms_of_the_loss_are_shown_if_they_are_in_it(mse: float, text: str) -> None:
    bar = ShownBar()
    row = TrainingRow(step=3, loss=2.0, ce=1.0, kl=0.5, learning_rate=1e-4, mse=mse)
    TrainingBars(bar)(row)
    assert (bar.step, bar.text) == (3, text)

"""What is listed twice in the settings of the evaluation would be counted twice."""

import pytest
from pydantic import ValidationError

from configs.evaluate import Evaluate


@pytest.mark.parametrize(
    ("settings", "repeated"),
    [
        ({"noise": {"kinds": ["white", "babble", "white"]}}, "white"),
        ({"long_form": {"algorithms": ["chunked", "chunked"]}}, "chunked"),
        ({"timing_batch_sizes": [4, 1, 4]}, "4"),
    ],
)
def test_nothing_is_measured_twice(settings: dict[str, object], repeated: str) -> None:
    with pytest.raises(ValidationError, match=f"{repeated} is listed twice"):
        Evaluate.model_validate(settings)

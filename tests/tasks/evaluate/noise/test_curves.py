"""Curves of word error rates against noise, from averages."""

from tasks.evaluate.conditions import AddedNoise, Condition
from tasks.evaluate.noise.curves import condition_of, noise_curves
from tests.tasks.evaluate.reports import average


def test_curves_are_of_all_sets_by_kind_and_model_from_the_highest_ratio_on() -> None:
    rows = [
        average("teacher", 50.0, "pub_street_-5db"),
        average("teacher", 5.0, "pub_street_40db"),
        average("teacher", 6.0, "pub_street_40db", "out"),
        average("student", 7.0, "white_0db"),
        average("student", 7.0),
        average("student", 7.0, "chunked"),
    ]
    assert noise_curves(rows) == {
        "pub_street": {"teacher": {40: 5.0, -5: 50.0}},
        "white": {"student": {0: 7.0}},
    }
    assert list(noise_curves(rows)["pub_street"]["teacher"]) == [40, -5]


def test_names_are_those_of_conditions() -> None:
    noise = AddedNoise(kind="babble", snr_db=-10)
    assert condition_of("babble", -10) == Condition(noise=noise).name

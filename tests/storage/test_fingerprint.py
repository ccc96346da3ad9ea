import math
from typing import Any

import pytest

from storage.fingerprint import digest, fingerprint


def made(**changes: Any) -> str:
    decided = {
        "stage": "label",
        "version": 1,
        "corpus": "librispeech",
        "parameters": {"dtype": "float32", "beams": 1},
        "upstream": ["0123456789abcdef"],
    }
    return fingerprint(**{**decided, **changes})


def test_it_is_what_it_was_when_this_was_written() -> None:
    assert made() == "4c074114ee2d001f"
    assert (
        digest({"b": [1, 2.5, None, True], "a": "ü"})
        == "016a42b8cab958d1ab0e8d320efe7edf0046f9615095ae25f338ee8b24ef2296"
    )


def test_the_order_of_keys_makes_no_difference() -> None:
    assert made(parameters={"beams": 1, "dtype": "float32"}) == made()
    assert digest({"a": {"x": 1, "y": 2}}) == digest({"a": {"y": 2, "x": 1}})


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "score"},
        {"version": 2},
        {"corpus": "tedlium"},
        {"parameters": {"dtype": "float32", "beams": 1.0}},
        {"parameters": {"dtype": "float32", "beams": "1"}},
        {"parameters": {"dtype": "float32"}},
        {"upstream": []},
        {"upstream": ["0123456789abcdee"]},
    ],
)
def test_whatever_decides_a_result_changes_it(changes: dict[str, Any]) -> None:
    assert made(**changes) != made()


def test_the_order_of_a_list_does_make_a_difference() -> None:
    assert digest(["a", "b"]) != digest(["b", "a"])


@pytest.mark.parametrize(
    "value", [{1, 2}, b"bytes", object(), math.nan, math.inf, {"deep": [{"set": {1}}]}]
)
def test_what_has_no_stable_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        digest(value)

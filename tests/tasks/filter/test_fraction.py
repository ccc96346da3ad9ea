"""A share of the windows: the same ones each time, and those of a smaller share in a larger one."""

import pyarrow as pa
import pytest

from configs.schema import Filter
from storage.outcome import Rejected
from tasks.filter.rules import draw
from tasks.filter.shard import filter_shard
from tests.tasks.filter.evidence_rows import KNOWN, Row, evidence, table, utterance

NUM_WINDOWS = 400


def windows() -> list[Row]:
    """Windows of two utterances, every tenth with a bad label."""
    return [
        evidence(
            f"w{number}",
            wer_percent=50.0 if number % 10 == 0 else 0.0,
            utterances=[utterance(f"w{number}-{place}") for place in range(2)],
        )
        for number in range(NUM_WINDOWS)
    ]


def kept(**settings: object) -> tuple[set[str], dict[str, str]]:
    """The kept windows, and the reasons of dropped utterances."""
    outcomes = list(filter_shard(table(windows()), Filter.model_validate(settings), KNOWN))
    names = {
        row["window_id"]
        for one in outcomes
        if isinstance(one, pa.RecordBatch)
        for row in one.to_pylist()
    }
    return names, {one.id: one.reason for one in outcomes if isinstance(one, Rejected)}


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_a_smaller_share_is_part_of_a_larger_one(unit: str) -> None:
    everything, _ = kept(unit=unit)
    shares = [kept(unit=unit, fraction=fraction)[0] for fraction in (0.25, 0.5, 1.0)]
    assert shares[0] < shares[1] < shares[2] == everything
    for share, fraction in zip(shares, (0.25, 0.5, 1.0), strict=True):
        assert len(share) == pytest.approx(fraction * len(everything), rel=0.25)


def test_each_window_that_is_left_out_is_counted_with_the_reason() -> None:
    names, reasons = kept(fraction=0.25)
    assert 2 * len(names) + len(reasons) == 2 * NUM_WINDOWS
    assert set(reasons.values()) == {"wer", "beyond_fraction"}
    bad = [one for one, reason in reasons.items() if reason == "wer"]
    assert len(bad) == 2 * NUM_WINDOWS // 10  # its own reason comes first


def test_another_seed_keeps_others() -> None:
    assert kept(fraction=0.5)[0] == kept(fraction=0.5, fraction_seed=0)[0]
    assert kept(fraction=0.5)[0] != kept(fraction=0.5, fraction_seed=1)[0]


def test_draws_are_the_same_everywhere() -> None:
    assert draw("1001-100100-0000", 0) == pytest.approx(0.9389, abs=1e-4)

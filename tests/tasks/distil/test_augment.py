"""SpecAugment: which features are masked."""

import numpy as np
import pytest

from configs.distil import SpecAugment
from tasks.distil.augment import masked

FEATURES = np.ones((80, 3000), np.float32)


def test_masks_are_bands_and_spans_no_wider_than_allowed() -> None:
    for draw in map(str, range(50)):
        found = masked(FEATURES, SpecAugment(), draw)
        bands, spans = (found == 0).all(axis=1), (found == 0).all(axis=0)
        assert np.array_equal(found == 0, bands[:, None] | spans[None, :])
        assert bands.sum() <= 2 * 27
        assert spans.sum() <= 2 * 100
        for is_masked in (bands, spans):
            assert np.count_nonzero(np.diff(is_masked.astype(int)) == 1) <= 2
    assert (FEATURES == 1).all()


def test_the_mean_width_is_half_the_widest() -> None:
    settings = SpecAugment(num_time_masks=1, num_frequency_masks=0)
    widths = [(masked(FEATURES, settings, str(n)) == 0).all(axis=0).sum() for n in range(2_000)]
    assert np.mean(widths) == pytest.approx(50, abs=2)
    assert (min(widths), max(widths)) == (0, 100)


def test_masks_depend_on_the_draw_alone() -> None:
    draws = ("0 0 w", "0 0 w", "0 1 w")
    one, same, other = (masked(FEATURES, SpecAugment(), draw) for draw in draws)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_without_masks_nothing_changes() -> None:
    settings = SpecAugment(num_time_masks=0, num_frequency_masks=0)
    assert np.array_equal(masked(FEATURES, settings, "x"), FEATURES)

"""Preparation and padding of training batches."""

from dataclasses import replace

import numpy as np
import pytest

from storage.errors import ShardError
from tasks.distil.batch import collate
from tasks.whisper.tokens import IGNORED


def test_a_full_window_is_accepted_and_a_longer_one_refused(make_example, preparer) -> None:
    assert preparer(make_example(0, duration_s=1.0)).features.shape == (80, 100)
    with pytest.raises(ShardError, match=r"window w0 has 1\.001 s of audio, the model takes 1 s"):
        preparer(make_example(0, duration_s=1.001))


def test_a_label_that_does_not_fit_is_refused(make_example, preparer) -> None:
    with pytest.raises(ShardError, match=r"window w0 has .* tokens, the model takes 48"):
        preparer(make_example(0, text="boat " * 50))


def test_features_equal_those_of_the_extractor(make_example, preparer, processor) -> None:
    example = make_example(3)
    expected = processor.feature_extractor(
        example.samples(), sampling_rate=16_000, return_tensors="np"
    )["input_features"][0]
    assert np.array_equal(preparer(example).features, expected)


def test_previous_text_gets_the_positions_the_label_leaves(make_example, preparer, special) -> None:
    """At most half of the 48 positions, and none of those of the label."""
    before = make_example(1, text="boat " * 40).tokens
    short, long = make_example(0, text="boat"), make_example(0, text="boat " * 30)
    for example, num_expected in ((short, 24), (long, 48 - (len(long.tokens) - 1))):
        row = preparer(replace(example, previous_tokens=before))
        bare = preparer(example)
        num_previous = len(row.inputs) - len(bare.inputs)
        assert num_previous == num_expected
        assert row.inputs[0] == special.previous_id
        assert row.inputs[num_previous:] == bare.inputs
        assert row.targets == (IGNORED,) * num_previous + bare.targets


def test_rows_are_padded_on_the_right(make_example, preparer, special) -> None:
    rows = [preparer(make_example(0, text="a")), preparer(make_example(1))]
    batch = collate(rows, special.end_id)
    short = len(rows[0].inputs)
    assert batch.inputs.shape == batch.targets.shape == (2, len(rows[1].inputs))
    assert (batch.inputs[0, short:] == special.end_id).all()
    assert (batch.targets[0, short:] == IGNORED).all()
    assert batch.targets[1].tolist() == list(rows[1].targets)

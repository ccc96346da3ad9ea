"""The audio of an example: utterances at their offsets in the window."""

import numpy as np
import pytest

from storage.errors import IntegrityError
from tasks.audio import encode_flac
from tasks.reading.examples import Clip, Example


def test_utterances_are_placed_at_their_offsets_to_the_sample() -> None:
    random = np.random.default_rng(0)
    first, second = (random.integers(-9000, 9000, n).astype(np.int16) for n in (1_001, 4_003))
    offset_s = 1_237 / 16_000
    window = Example(
        window_id="w",
        tokens=(),
        duration_s=(1_237 + 4_003) / 16_000,
        clips=(Clip("b", encode_flac(second), offset_s), Clip("a", encode_flac(first), 0.0)),
    ).samples()
    expected = np.zeros(1_237 + 4_003, np.float32)
    expected[:1_001] = first / 32768
    expected[1_237:] = second / 32768
    assert window.dtype == np.float32
    assert np.array_equal(window, expected)


def test_unreadable_audio_names_its_utterance() -> None:
    example = Example(window_id="w", tokens=(), duration_s=1.0, clips=(Clip("u9", b"noise", 0.0),))
    with pytest.raises(IntegrityError, match="utterance u9"):
        example.samples()

"""OGG files of the demo: the same bytes each time, and whole."""

from io import BytesIO
from typing import Literal

import av
import numpy as np
import pytest
import soundfile

from tasks.demo.ogg import ogg_file
from tests.builders import sine

CODECS = pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])


@CODECS
def test_the_same_samples_give_the_same_bytes(codec: Literal["VORBIS", "OPUS"]) -> None:
    samples = sine(3.0)
    assert ogg_file(samples, 16_000, codec) == ogg_file(samples, 16_000, codec)


@CODECS
def test_two_readers_that_check_pages_take_all_of_it(codec: Literal["VORBIS", "OPUS"]) -> None:
    samples = sine(10.0)
    ogg = ogg_file(samples, 16_000, codec)
    read, rate_hz = soundfile.read(BytesIO(ogg), dtype="int16")
    assert (len(read), rate_hz) == (160_000, 16_000)
    inner = slice(8_000, -8_000)
    assert np.corrcoef(read[inner], samples[inner])[0, 1] > 0.99
    with av.open(BytesIO(ogg)) as container:
        duration_s = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert duration_s == pytest.approx(10.0, abs=0.05)


@CODECS
def test_a_damaged_page_is_not_passed_over(codec: Literal["VORBIS", "OPUS"]) -> None:
    """Its checksum is a genuine one: with another byte, a reader leaves the page out."""
    ogg = bytearray(ogg_file(sine(10.0), 16_000, codec))
    ogg[len(ogg) // 2] ^= 0xFF
    with soundfile.SoundFile(BytesIO(bytes(ogg))) as file:
        assert len(file.read(dtype="int16")) < 160_000

"""OGG files of the demo are deterministic and valid."""

from io import BytesIO
from typing import Literal

import av
import numpy as np
import pytest
import soundfile

from tasks.demo.formats.ogg import ogg_file
from tests.builders import sine

CODECS = pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])


@CODECS
def test_encoding_is_deterministic(codec: Literal["VORBIS", "OPUS"]) -> None:
    samples = sine(3.0)
    assert ogg_file(samples, 16_000, codec) == ogg_file(samples, 16_000, codec)


@CODECS
def test_two_readers_that_verify_pages_accept_the_file(codec: Literal["VORBIS", "OPUS"]) -> None:
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
def test_a_damaged_page_is_detected(codec: Literal["VORBIS", "OPUS"]) -> None:
    """The checksum is valid: with another byte, a reader skips the page."""
    ogg = bytearray(ogg_file(sine(10.0), 16_000, codec))
    ogg[len(ogg) // 2] ^= 0xFF
    with soundfile.SoundFile(BytesIO(bytes(ogg))) as file:
        assert len(file.read(dtype="int16")) < 160_000

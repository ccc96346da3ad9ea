"""Streamed MP3 clips, which do not state their length."""

import av
import numpy as np
import pytest

from tasks.audio import AudioError, decode
from tasks.audio.mp3 import has_frame_count
from tests.builders import encoded, sine


class Pipe:
    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)


def streamed(rate_hz: int, id3: bool = True) -> bytes:
    pipe = Pipe()
    options = {} if id3 else {"id3v2_version": "0"}
    with av.open(pipe, "w", format="mp3", options=options) as container:
        stream = container.add_stream("libmp3lame", rate=rate_hz, layout="mono")
        stream.bit_rate = 64_000
        samples = sine(2.0, rate_hz=rate_hz).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout="mono")
        frame.sample_rate = rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return bytes(pipe.written)


@pytest.mark.parametrize("rate_hz", [32_000, 48_000])
@pytest.mark.parametrize("id3", [True, False])
def test_a_streamed_clip_is_decoded_completely(rate_hz: int, id3: bool) -> None:
    clip = streamed(rate_hz, id3)
    assert clip.startswith(b"ID3") == id3 and not has_frame_count(clip)
    audio = decode(clip)
    assert audio.rate_hz == rate_hz
    assert audio.duration_s == pytest.approx(2.0, abs=0.08)  # with the encoder's padding
    assert np.abs(audio.samples).max() > 16_000 * 0.9


def test_a_streamed_clip_of_variable_bit_rate_is_decoded_completely() -> None:
    """From the first, smaller frames libsndfile estimates a third of the length."""
    quiet_then_loud = np.concatenate([np.zeros(16_000, np.int16), sine(2.0, rate_hz=32_000)])
    tagged = encoded(quiet_then_loud, "MP3", "MPEG_LAYER_III", 32_000)
    first = tagged.index(b"\xff\xfb", 4)
    assert has_frame_count(tagged) and not has_frame_count(tagged[first:])
    assert decode(tagged).duration_s == pytest.approx(2.5, abs=0.001)
    assert decode(tagged[first:]).duration_s == pytest.approx(2.5, abs=0.08)


def test_a_clip_with_a_frame_count_must_be_complete() -> None:
    with pytest.raises(AudioError, match="truncated"):
        decode(encoded(sine(2.0, rate_hz=32_000), "MP3", "MPEG_LAYER_III", 32_000)[:-4_000])


def test_a_tag_alone_is_not_audio() -> None:
    clip = streamed(32_000)
    with pytest.raises(AudioError):
        decode(clip[: clip.index(b"\xff\xfb")])
    assert not has_frame_count(b"ID3") and not has_frame_count(b"")

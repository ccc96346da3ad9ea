"""The FLAC format of stored utterances: its header, and complete decoding."""

import random
from hashlib import md5
from importlib.util import find_spec

import numpy as np
import pytest

from tasks.audio import AudioError, decode, decode_flac, flac
from tests.builders import encoded, noise
from tests.builders import flac as flac_of

MONO = noise(30_000)
FILE = flac_of(MONO)
FIRST_FRAME = 86
"""The offset of the audio frames, after the header and the encoder tag."""

HAS_DR_FLAC = pytest.mark.skipif(
    find_spec("miniaudio") is None, reason="miniaudio is not installed (no wheel: Linux on ARM)"
)


def as_floats(samples: np.ndarray) -> np.ndarray:
    return samples[:, 0].astype(np.float32) / 32768.0


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("num_channels", [1, 2, 8])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 96_000])
def test_a_header_states_the_format_of_the_file(bits: int, num_channels: int, rate_hz: int) -> None:
    subtype = "PCM_S8" if bits == 8 else f"PCM_{bits}"
    content = encoded(noise(5_000, num_channels), "FLAC", subtype, rate_hz)
    info = flac.StreamInfo.of(content)
    assert info is not None
    assert (info.rate_hz, info.num_channels, info.bits) == (rate_hz, num_channels, bits)
    assert info.num_samples == 5_000
    assert info.is_normalised == ((bits, num_channels, rate_hz) == (16, 1, 16_000))


def test_a_header_states_the_digest_of_the_samples() -> None:
    info = flac.StreamInfo.of(FILE)
    assert info is not None
    assert info.md5 == md5(MONO.astype("<i2").tobytes(), usedforsecurity=False).digest()
    untold = flac.StreamInfo.of(FILE[:26] + bytes(16) + FILE[42:])
    assert untold is not None
    assert untold.md5 == b""


@pytest.mark.parametrize("content", [b"", b"fLaC", FILE[:41], b"ID3" + FILE, b"RIFF" + FILE[4:]])
def test_other_files_have_no_flac_header(content: bytes) -> None:
    assert flac.StreamInfo.of(content) is None


@HAS_DR_FLAC
def test_samples_are_those_that_libsndfile_decodes() -> None:
    found = flac.decode_normalised(FILE)
    assert found is not None
    assert found.dtype == np.float32
    assert found.flags.writeable
    assert np.array_equal(found, as_floats(decode(FILE).samples))
    assert np.array_equal(found, as_floats(MONO))


@HAS_DR_FLAC
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no audio",
        flac_of(noise(5_000, 2)),
        flac_of(MONO, rate_hz=8_000),
        encoded(MONO, "FLAC", "PCM_24"),
        encoded(MONO, "WAV", "PCM_16"),
        flac_of(noise((1 << 20) + 1)),
        FILE[:21] + bytes([FILE[21] & 0xF0]) + bytes(4) + FILE[26:],
        FILE[:-100],
    ],
    ids=["empty", "text", "stereo", "8 kHz", "24 bit", "wav", "long", "untold", "truncated"],
)
def test_other_formats_are_not_decoded_here(content: bytes) -> None:
    assert flac.decode_normalised(content) is None


@pytest.mark.parametrize("has_dr_flac", [pytest.param(True, marks=HAS_DR_FLAC), False])
def test_a_flipped_bit_is_detected(has_dr_flac: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flac, "_HAS_DR_FLAC", has_dr_flac)
    assert np.array_equal(decode_flac(FILE), as_floats(MONO))
    chance = random.Random(0)
    for _ in range(200):
        damaged = bytearray(FILE)
        damaged[chance.randrange(FIRST_FRAME, len(FILE))] ^= 1 << chance.randrange(8)
        with pytest.raises(AudioError, match=r"damaged|truncated"):
            decode(bytes(damaged))
        with pytest.raises(AudioError, match=r"damaged|truncated"):
            decode_flac(bytes(damaged))


@pytest.mark.parametrize(("bits", "rate_hz", "num_channels"), [(24, 48_000, 1), (16, 44_100, 2)])
def test_a_flipped_bit_is_detected_in_every_format(
    bits: int, rate_hz: int, num_channels: int
) -> None:
    content = encoded(noise(20_000, num_channels), "FLAC", f"PCM_{bits}", rate_hz)
    chance = random.Random(0)
    for _ in range(50):
        damaged = bytearray(content)
        damaged[chance.randrange(len(content) // 4, len(content))] ^= 1 << chance.randrange(8)
        with pytest.raises(AudioError, match=r"damaged|truncated"):
            decode(bytes(damaged))

"""The SPHERE writer of the demo; `tests/tasks/audio/test_sphere.py` decodes its files."""

import hashlib

import numpy as np
import pytest
from desphere_native import shorten_to_pcm

from tasks.audio import decode
from tasks.demo.formats.shorten import BLOCK_FRAMES, SampleType, shorten_stream
from tasks.demo.formats.sphere import HEADER_BYTES, sphere_file
from tests.builders import noise, sine

TONE = sine(0.1, rate_hz=8_000)


def test_a_plain_file_is_unchanged() -> None:
    little = sphere_file(TONE, 8_000, big_endian=False)
    header = little[:HEADER_BYTES].decode().rstrip().split("\n")
    assert header == [
        "NIST_1A", "   1024", "channel_count -i 1", "sample_count -i 800", "sample_rate -i 8000",
        "sample_n_bytes -i 2", "sample_byte_format -s2 01", "sample_sig_bits -i 16",
        "sample_coding -s3 pcm", "end_head",
    ]  # fmt: skip
    assert little[HEADER_BYTES:] == TONE.astype("<i2").tobytes()
    assert sphere_file(TONE, 8_000, big_endian=True)[HEADER_BYTES:] == TONE.astype(">i2").tobytes()


def test_fields_come_first_or_replace_those_of_the_same_name() -> None:
    fields = {"conversation_id": "-s4 9001", "sample_count": "-i 1600"}
    lines = sphere_file(TONE, 8_000, coding="ulaw", fields=fields)[:HEADER_BYTES].decode().split()
    assert lines[2:5] == ["conversation_id", "-s4", "9001"]
    assert lines[lines.index("sample_count") + 2] == "1600"
    assert lines.count("sample_count") == 1
    assert lines[lines.index("sample_n_bytes") + 2] == "1"


def test_the_header_grows_as_needed() -> None:
    fields = {f"comment_{number}": f"-s60 {'x' * 60}" for number in range(20)}
    assert sphere_file(TONE, 8_000, fields=fields)[:16] == b"NIST_1A\n   2048\n"
    assert sphere_file(TONE, 8_000, header_bytes=4_096)[:16] == b"NIST_1A\n   4096\n"


def test_unsupported_codings_are_refused() -> None:
    for coding in ("alaw,embedded-shorten-v2.00", "pcm,embedded-wavpack"):
        with pytest.raises(ValueError, match=coding):
            sphere_file(TONE, 8_000, coding=coding)


EDGES = [0, 1, 3, BLOCK_FRAMES - 1, BLOCK_FRAMES, BLOCK_FRAMES + 1, 5 * BLOCK_FRAMES + 17]
CONTENTS = {
    "noise": noise(2_000, 2),
    "full scale": np.resize(np.array([32_767, -32_768], dtype=np.int16), (2_000, 2)),
    "silence": np.zeros((2_000, 2), dtype=np.int16),
    "silent side": noise(2_000, 2) * np.array([1, 0], dtype=np.int16),
    "far from zero": np.abs(noise(2_000, 2)) // 50 + np.int16(20_000),
    "far below": np.abs(noise(2_000, 2)) // 50 - np.int16(20_000),
    "slow": np.repeat(np.arange(1_000), 2).reshape(1_000, 2).astype(np.int16) ** 2 // 64,
}


@pytest.mark.parametrize("num_frames", EDGES)
@pytest.mark.parametrize("name", list(CONTENTS))
def test_a_stream_round_trips(name: str, num_frames: int) -> None:
    samples = CONTENTS[name][:num_frames]
    for coding in ("pcm,embedded-shorten-v2.00", "ulaw,embedded-shorten-v2.00"):
        content = sphere_file(samples, 8_000, coding=coding)
        plain = sphere_file(samples, 8_000, coding=coding.partition(",")[0])
        num_channels, _, decoded = shorten_to_pcm(content[HEADER_BYTES:])
        if coding.startswith("ulaw"):
            assert num_channels == 2
            assert np.array_equal(
                np.frombuffer(decoded, "<i2").reshape(-1, 2), decode(plain).samples
            )
        elif num_frames:
            assert np.array_equal(decode(content).samples, samples)


def test_all_mu_law_codes_round_trip() -> None:
    codes = np.arange(256, dtype=np.uint8)[:, None]
    _, is_mu_law, decoded = shorten_to_pcm(shorten_stream(codes, SampleType.MU_LAW))
    plain = sphere_file(np.zeros((256, 1), np.int16), 8_000, coding="ulaw")[:HEADER_BYTES]
    assert is_mu_law
    assert decoded == decode(plain + codes.tobytes()).samples.astype("<i2").tobytes()


def test_a_tone_is_compressed_and_silence_more() -> None:
    tone = sine(2.0, rate_hz=8_000, frequency_hz=100.0)[:, None]
    stream = shorten_stream(tone, SampleType.PCM16_LITTLE_ENDIAN)
    assert len(stream) < 0.5 * tone.nbytes
    silence = shorten_stream(np.zeros((80_000, 2), np.int16), SampleType.PCM16_LITTLE_ENDIAN)
    assert len(silence) < 1_000


def test_encoding_is_deterministic() -> None:
    digests = {
        hashlib.sha256(sphere_file(noise(9_000, 2), 8_000, coding=coding)).hexdigest()
        for coding in ["ulaw,embedded-shorten-v2.00"] * 2
    }
    assert len(digests) == 1

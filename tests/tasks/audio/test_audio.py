"""Decoding returns all samples or raises `AudioError`."""

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from tasks.audio import (
    Audio,
    AudioError,
    cut,
    decode,
    decode_flac,
    encode_flac,
    is_normalised_flac,
    to_whisper_rate,
)
from tests.builders import Pcm, encoded, flac, m4a, noise, sine, sphere

TONE = sine(1.0)
SPEECH_LIKE = noise(8_000)
LONG_HEADER = {f"comment_{number}": f"-s60 {'x' * 60}" for number in range(13)}
"""The header of a SPHERE file that FFmpeg reads and libsndfile does not."""


def as_float(samples: Pcm) -> np.ndarray:
    return samples.astype(np.float64) / 32768.0


@pytest.mark.parametrize(
    "content",
    [
        flac(SPEECH_LIKE),
        encoded(SPEECH_LIKE, "WAV", "PCM_16"),
        encoded(as_float(SPEECH_LIKE), "WAV", "FLOAT"),
        encoded(as_float(SPEECH_LIKE), "WAV", "DOUBLE"),
        encoded(SPEECH_LIKE, "FLAC", "PCM_24"),
        sphere(SPEECH_LIKE),
        sphere(SPEECH_LIKE, byte_order=">"),
        sphere(SPEECH_LIKE, **LONG_HEADER),
    ],
    ids=["flac", "wav", "float", "double", "24 bit", "sphere", "big-endian", "long header"],
)
def test_a_lossless_file_decodes_to_its_samples(content: bytes) -> None:
    audio = decode(content)
    assert audio.rate_hz == 16_000
    assert audio.samples.dtype == np.int16
    assert np.array_equal(audio.samples, SPEECH_LIKE)
    assert audio.duration_s == 0.5


@pytest.mark.parametrize(
    "content",
    [
        encoded(TONE, "OGG", "VORBIS"),
        encoded(TONE, "OGG", "OPUS"),
        encoded(TONE, "MP3"),
        encoded(TONE, "NIST", "ULAW"),
        m4a(TONE),
    ],
    ids=["vorbis", "opus", "mp3", "ulaw sphere", "aac by FFmpeg"],
)
def test_a_lossy_file_decodes_to_similar_samples(content: bytes) -> None:
    audio = decode(content)
    middle = audio.samples[4_000:12_000, 0]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert audio.rate_hz == 16_000
    assert audio.duration_s == pytest.approx(1.0, abs=0.2)
    assert spectrum.argmax() * 2 == 440
    assert np.percentile(np.abs(middle), 99) == pytest.approx(32767 * 0.5, rel=0.05)


@pytest.mark.parametrize("num_channels", [2, 6, 9])
def test_channels_are_not_mixed(num_channels: int) -> None:
    samples = noise(4_000, num_channels)
    assert np.array_equal(decode(sphere(samples)).samples, samples)
    assert np.array_equal(decode(sphere(samples, **LONG_HEADER)).samples, samples)


def test_samples_beyond_full_scale_are_clipped() -> None:
    loud = np.array([2.0, -2.0, 1.0, -1.0, 0.0, np.nan], dtype=np.float32)
    samples = decode(encoded(loud, "WAV", "FLOAT")).samples[:, 0]
    assert samples.tolist() == [32767, -32768, 32767, -32768, 0, 0]


def test_a_long_recording_is_decoded_completely() -> None:
    samples = noise(3_000_000)
    assert np.array_equal(decode(encoded(samples, "WAV", "PCM_16")).samples, samples)


def test_a_file_without_samples_has_no_duration() -> None:
    assert decode(encoded(noise(0), "WAV", "PCM_16")).duration_s == 0


def test_flac_of_unknown_length_is_read_to_the_end() -> None:
    content = bytearray(flac(SPEECH_LIKE))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    assert np.array_equal(decode(bytes(content)).samples, SPEECH_LIKE)


@pytest.mark.parametrize(
    "content",
    [
        sphere(SPEECH_LIKE)[:-2],
        sphere(SPEECH_LIKE)[:5_000],
        sphere(SPEECH_LIKE)[:1_024],
        sphere(SPEECH_LIKE, sample_count="-i 8001"),
        sphere(SPEECH_LIKE, **LONG_HEADER)[:-2],
        sphere(SPEECH_LIKE, sample_count="-i 99999999999999"),
        flac(SPEECH_LIKE)[:-100],
        flac(SPEECH_LIKE)[:5_000],
    ],
)
def test_a_truncated_file_is_refused(content: bytes) -> None:
    with pytest.raises(AudioError):
        decode(content)


def wave_of(samples: Pcm, container: str, endian: str = "FILE") -> bytes:
    """A WAV file of one of the kinds that state their size differently."""
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=container, subtype="PCM_16", endian=endian)
    return file.getvalue()


WAVES = {
    "RIFF": wave_of(SPEECH_LIKE, "WAV"),
    "RIFX": wave_of(SPEECH_LIKE, "WAV", "BIG"),
    "WAVEX": wave_of(SPEECH_LIKE, "WAVEX"),
    "RF64": wave_of(SPEECH_LIKE, "RF64"),
}


@pytest.mark.parametrize("kind", list(WAVES))
def test_a_truncated_wave_is_refused(kind: str) -> None:
    content = WAVES[kind]
    assert np.array_equal(decode(content).samples, SPEECH_LIKE)
    for missing in (1, 2, 5_000, 16_000):
        with pytest.raises(AudioError, match=f"truncated: {16_000 - missing} of 16000 bytes"):
            decode(content[: len(content) - missing])


@pytest.mark.parametrize("size", [0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("kept", [len(WAVES["RIFF"]), 10_044])
def test_a_wave_of_unknown_size_is_read_to_the_end(size: int, kept: int) -> None:
    content = bytearray(WAVES["RIFF"])
    place = content.index(b"data") + 4
    content[place : place + 4] = size.to_bytes(4, "little")
    samples = decode(bytes(content[:kept])).samples
    assert np.array_equal(samples, SPEECH_LIKE[: (kept - 44) // 2])
    content[place : place + 4] = bytes(4)
    assert not len(decode(bytes(content)).samples)  # of size 0 it is empty, no error


def test_chunks_after_the_samples_may_be_truncated() -> None:
    content = WAVES["RIFF"] + b"LIST" + (400).to_bytes(4, "little") + b"INFO"
    assert np.array_equal(decode(content).samples, SPEECH_LIKE)


@pytest.mark.parametrize("rate_hz", [1, 999, 2_000_000])
def test_an_implausible_sample_rate_is_refused(rate_hz: int) -> None:
    with pytest.raises(AudioError, match=f"sample rate of {rate_hz} Hz"):
        decode(sphere(SPEECH_LIKE, rate_hz))


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4_000, b"RIFF", b"fLaC", b"OggS", b"NIST_1A\n   1024\n", b"ID3"]
)
def test_bytes_that_are_not_audio_always_give_the_same_message(content: bytes) -> None:
    words = set()
    for _ in range(2):
        with pytest.raises(AudioError) as raised:
            decode(bytes(bytearray(content)))
        words.add(str(raised.value))
    assert len(words) == 1


@pytest.mark.parametrize(
    "playlist",
    [
        "ffconcat version 1.0\nfile '{}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_playlist_is_not_followed(
    playlist: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "private.wav"
    other.write_bytes(encoded(TONE, "WAV", "PCM_16"))
    with pytest.raises(AudioError):
        decode(playlist.format(other).encode())


def random_bytes(content: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(3_000))


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def flipped(content: bytes, chance: random.Random) -> bytes:
    """Flip some bits, mostly in the header, where they do most harm."""
    mutated = bytearray(content)
    within = min(len(content), chance.choice([64, 512, len(content)]))
    for _ in range(chance.choice([1, 3, 30])):
        mutated[chance.randrange(within)] ^= 1 << chance.randrange(8)
    return bytes(mutated)


@pytest.mark.parametrize("mutate", [random_bytes, truncated, flipped])
@pytest.mark.parametrize(
    "content",
    [
        flac(SPEECH_LIKE),
        encoded(SPEECH_LIKE, "WAV", "PCM_16"),
        encoded(SPEECH_LIKE, "OGG", "VORBIS"),
        encoded(SPEECH_LIKE, "OGG", "OPUS"),
        encoded(SPEECH_LIKE, "MP3"),
        sphere(SPEECH_LIKE),
        m4a(SPEECH_LIKE),
    ],
    ids=["flac", "wav", "vorbis", "opus", "mp3", "sphere", "m4a"],
)
def test_damage_is_an_audio_error_or_audio(
    content: bytes, mutate: Callable[[bytes, random.Random], bytes]
) -> None:
    chance = random.Random(0)
    for _ in range(20):
        try:
            audio = decode(mutate(content, chance))
        except AudioError:
            continue
        assert audio.samples.ndim == 2
        assert audio.samples.dtype == np.int16
        assert audio.rate_hz > 0


def test_cutting_is_exact_to_the_sample() -> None:
    audio = Audio(noise(16_000, 2), 16_000)
    piece = cut(audio, 1, 0.25, 0.50003)
    assert np.array_equal(piece.samples, audio.samples[4_000:8_000, 1:2])
    assert np.array_equal(cut(audio, 0, 0.5, None).samples, audio.samples[8_000:, :1])
    assert cut(audio, 0, 2.0, 3.0).duration_s == 0


def test_a_missing_channel_is_refused() -> None:
    with pytest.raises(AudioError, match="channel 2 of 2"):
        cut(Audio(noise(10, 2), 16_000), 2, 0, None)


def test_16_khz_is_not_resampled() -> None:
    assert np.array_equal(to_whisper_rate(Audio(SPEECH_LIKE, 16_000)), SPEECH_LIKE[:, 0])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 32_000, 44_100, 48_000])
def test_other_rates_keep_the_tone_and_its_length(rate_hz: int) -> None:
    tone = sine(2.0, rate_hz=rate_hz)[:, None]
    samples = to_whisper_rate(Audio(tone, rate_hz))
    assert samples.dtype == np.int16
    assert len(samples) == 32_000
    expected = sine(2.0)[2_000:-2_000].astype(int)
    assert np.abs(samples[2_000:-2_000] - expected).max() < 32767 * 0.5 / 1_000


def test_frequencies_above_8_khz_are_filtered_out() -> None:
    tone = sine(1.0, rate_hz=48_000, frequency_hz=12_000.0)[:, None]
    samples = to_whisper_rate(Audio(tone, 48_000))
    assert np.abs(samples[1_000:-1_000]).max() < 32767 * 0.5 / 1_000


def test_flac_round_trips() -> None:
    content = encode_flac(SPEECH_LIKE[:, 0])
    assert content == encode_flac(SPEECH_LIKE[:, 0])
    samples = decode_flac(content)
    assert samples.dtype == np.float32
    assert np.array_equal(samples, (SPEECH_LIKE[:, 0] / 32768.0).astype(np.float32))
    with pytest.raises(AudioError):
        decode_flac(content[:100])
    for nothing in (b"", None):
        with pytest.raises(AudioError, match="the file is empty"):
            decode_flac(nothing)


@pytest.mark.parametrize("num_samples", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_flac_decoding_does_not_depend_on_length(num_samples: int) -> None:
    samples = noise(num_samples)[:, 0]
    expected = samples.astype(np.float32) / 32768.0
    assert np.array_equal(decode_flac(encode_flac(samples)), expected)


@pytest.mark.parametrize(
    ("content", "is_normalised"),
    [
        (flac(SPEECH_LIKE), True),
        (flac(noise(800, 2)), False),
        (flac(SPEECH_LIKE, rate_hz=8_000), False),
        (encoded(SPEECH_LIKE, "FLAC", "PCM_24"), False),
        (encoded(SPEECH_LIKE, "WAV", "PCM_16"), False),
    ],
)
def test_only_16_khz_16_bit_mono_flac_is_normalised(content: bytes, is_normalised: bool) -> None:
    assert is_normalised_flac(content) is is_normalised

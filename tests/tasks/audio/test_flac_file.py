"""FLAC files of corpora decode to exactly what was encoded, or raise `AudioError`."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from tasks.audio import AudioError, decode, flac_file
from tests.builders import encoded, noise, sine
from tests.builders import flac as flac_of

SPEECH = (noise(20_000) // 8 + sine(1.25, peak=0.2)[:, None]).astype(np.int16)
STEREO = np.hstack([SPEECH, SPEECH[::-1]])
NUM_DAMAGED = 300
"""Of each kind of file."""


def of_unknown_length(content: bytes) -> bytes:
    """As programs write it that cannot seek back to the header."""
    return content[:21] + bytes([content[21] & 0xF0]) + bytes(4) + content[26:]


def without_digest(content: bytes) -> bytes:
    return content[:26] + bytes(16) + content[42:]


def tagged(content: bytes) -> bytes:
    """Behind an ID3 tag of 200 bytes."""
    return b"ID3\4\0\0\0\0\1\x48" + bytes(200) + content


KINDS = {
    "complete": flac_of(SPEECH),
    "of unknown length": of_unknown_length(flac_of(SPEECH)),
    "without digest": without_digest(flac_of(SPEECH)),
    "with neither": without_digest(of_unknown_length(flac_of(SPEECH))),
    "tagged": tagged(flac_of(SPEECH)),
    "stereo": flac_of(STEREO),
    "8 bits": encoded(SPEECH // 256 * 256, "FLAC", "PCM_S8"),
    "24 bits": encoded(SPEECH.astype(np.int32) * 65_536 + 2_560, "FLAC", "PCM_24"),
    "11,025 Hz": flac_of(SPEECH, 11_025),
    "12,345 Hz": flac_of(SPEECH, 12_345),
}


@pytest.fixture(autouse=True)
def _without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any use of FFmpeg an error of another kind."""

    def refuse(*_: object) -> None:
        pytest.fail("FLAC reached FFmpeg")

    monkeypatch.setattr("tasks.audio.ffmpeg.av.AudioResampler", refuse)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_whole_file_decodes_to_its_samples(kind: str) -> None:
    audio = decode(KINDS[kind])
    if kind == "stereo":
        assert np.array_equal(audio.samples, STEREO)
    elif kind == "8 bits":
        assert np.array_equal(audio.samples, SPEECH // 256 * 256)
    else:
        assert np.array_equal(audio.samples, SPEECH)
    assert audio.rate_hz == int(kind.split(" ")[0].replace(",", "") if "Hz" in kind else 16_000)


def one_bit(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def header_bit(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(100)] ^= 1 << chance.randrange(8)


def lost_block(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content))
    del content[start : start + chance.choice([1, 512, 4_096])]


def zeroed_block(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content) - 16)
    content[start : start + 16] = bytes(16)


def cut_off(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


@pytest.mark.parametrize("damage", [one_bit, header_bit, lost_block, zeroed_block, cut_off])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_file_decodes_to_its_samples_or_not_at_all(
    kind: str, damage: Callable[[bytearray, random.Random], None]
) -> None:
    whole = decode(KINDS[kind])
    chance = random.Random(15)
    num_refused = 0
    for _ in range(NUM_DAMAGED if damage is one_bit else 60):
        content = bytearray(KINDS[kind])
        damage(content, chance)
        try:
            audio = decode(bytes(content))
        except AudioError:
            num_refused += 1
            continue
        assert np.array_equal(audio.samples, whole.samples)
        assert audio.rate_hz == whole.rate_hz
    assert num_refused


def test_a_wrong_digest_is_refused() -> None:
    content = bytearray(KINDS["complete"])
    content[26] ^= 1
    with pytest.raises(AudioError, match="another MD5"):
        decode(bytes(content))


@pytest.mark.parametrize("kind", ["complete", "without digest"])
@pytest.mark.parametrize("stated", [19_999, 15_808])
def test_a_length_below_that_of_the_frames_is_refused(kind: str, stated: int) -> None:
    content = KINDS[kind]
    changed = content[:22] + stated.to_bytes(4, "big") + content[26:]
    with pytest.raises(AudioError, match="damaged"):
        decode(changed)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 12_345])
def test_a_rate_other_than_that_of_the_frames_is_refused(rate_hz: int) -> None:
    content = bytearray(KINDS["complete"])
    content[18:21] = (rate_hz << 4 | content[20] & 15).to_bytes(3, "big")
    with pytest.raises(AudioError, match=f"{rate_hz} Hz in the header, 16000 in its frames"):
        decode(bytes(content))


@pytest.mark.parametrize("bits", [12, 20, 32])
def test_unsupported_bits_are_named(bits: int) -> None:
    content = bytearray(KINDS["complete"])
    content[20] = content[20] & 0xFE | (bits - 1) >> 4
    content[21] = content[21] & 0x0F | (bits - 1 & 15) << 4
    with pytest.raises(AudioError, match=f"FLAC of {bits} bits, expected 8, 16 or 24"):
        decode(bytes(content))


def test_a_file_longer_than_a_block_is_checked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flac_file, "_BLOCK_SAMPLES", 1_000)
    monkeypatch.setattr(flac_file, "_MAX_BY_DR_FLAC", 1_000)
    for kind in ("complete", "stereo", "24 bits", "with neither"):
        expected = STEREO if kind == "stereo" else SPEECH
        assert np.array_equal(decode(KINDS[kind]).samples, expected)


def test_a_file_without_frames_is_refused() -> None:
    content = KINDS["of unknown length"]
    only_metadata = b"fLaC\x80" + content[5:42]
    with pytest.raises(AudioError, match="no FLAC frame at byte 42 of 42"):
        decode(only_metadata)

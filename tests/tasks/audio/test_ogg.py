"""Ogg files whose pages are damaged are refused before they are decoded."""

import random

import numpy as np
import pytest

from tasks.audio import AudioError, decode
from tasks.audio.ogg import refuse_damaged_ogg
from tests.builders import encoded, flac, noise

NOISE = noise(24_000)
FILES = {codec: encoded(NOISE, "OGG", codec) for codec in ("VORBIS", "OPUS")}


def pages(content: bytes) -> list[bytes]:
    """The pages of an Ogg file with one stream."""
    starts = [at for at in range(len(content)) if content.startswith(b"OggS\0", at)]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


@pytest.mark.parametrize("codec", list(FILES))
def test_a_whole_file_passes(codec: str) -> None:
    refuse_damaged_ogg(FILES[codec])
    refuse_damaged_ogg(FILES[codec] + FILES[codec])  # chained, with the same serial number
    refuse_damaged_ogg(flac(NOISE))
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    assert np.array_equal(decode(tag + FILES[codec]).samples, decode(FILES[codec]).samples)


@pytest.mark.parametrize("codec", list(FILES))
def test_every_flipped_bit_is_found(codec: str) -> None:
    chance = random.Random(15)
    for _ in range(300):
        content = bytearray(FILES[codec])
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        with pytest.raises(AudioError):
            decode(bytes(content))


@pytest.mark.parametrize("codec", list(FILES))
def test_damage_is_described(codec: str) -> None:
    content, parts = FILES[codec], pages(FILES[codec])
    number = len(parts) - 2
    for damaged, words in (
        (content[:-1], "truncated: an Ogg page ends at byte"),
        (content + b"TAG", "no Ogg page at byte"),
        (b"".join(parts[:number] + parts[number + 1 :]), f"page {number + 1} follows page"),
        (content[:-1] + bytes([content[-1] ^ 1]), "the Ogg page at byte .* another checksum"),
    ):
        with pytest.raises(AudioError, match=words):
            decode(damaged)

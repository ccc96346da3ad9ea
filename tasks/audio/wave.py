"""WAV files that end too soon: libsndfile and FFmpeg read what is there without a word."""

from typing import Final

from tasks.audio.pcm import refuse_truncated

_UNTOLD_BYTES: Final = 0x7FFF_F000
"""From here on the size of a streamed WAV stands for "until the end", as 0 does."""
_HEAD_BYTES: Final = 8  # of a chunk: its name and its size


def refuse_truncated_wave(data: bytes) -> None:
    """Raise `AudioError` for a RIFF, RIFX or RF64 file whose samples are fewer than it says."""
    kind = data[:4]
    if kind not in (b"RIFF", b"RIFX", b"RF64") or data[8:12] != b"WAVE":
        return
    at, long_size = 12, 0
    while at + _HEAD_BYTES <= len(data):
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "big" if kind == b"RIFX" else "little")
        at += _HEAD_BYTES
        if name == b"ds64":  # the sizes of a file, then of its samples
            long_size = int.from_bytes(data[at + 8 : at + 16], "little")
        if name == b"data":
            is_long = kind == b"RF64" and size == 0xFFFF_FFFF
            expected = long_size if is_long else size if size < _UNTOLD_BYTES else 0
            refuse_truncated(found=len(data) - at, expected=expected, unit="bytes")
            return
        at += size + size % 2

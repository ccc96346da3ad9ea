"""Detects truncated WAV files, which libsndfile and FFmpeg read without an error."""

from typing import Final

from tasks.audio.pcm import refuse_truncated

_UNKNOWN_BYTES: Final = 0x7FFF_F000
"""Sizes from here on mean "until the end of the file" in streamed WAV, as 0 does."""
_CHUNK_HEADER_BYTES: Final = 8  # name and size


def refuse_truncated_wave(data: bytes) -> None:
    """Raise `AudioError` for a RIFF, RIFX or RF64 file with fewer samples than its header says."""
    kind = data[:4]
    if kind not in (b"RIFF", b"RIFX", b"RF64") or data[8:12] != b"WAVE":
        return
    at, long_size = 12, 0
    while at + _CHUNK_HEADER_BYTES <= len(data):
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "big" if kind == b"RIFX" else "little")
        at += _CHUNK_HEADER_BYTES
        if name == b"ds64":  # size of the file, then of its samples
            long_size = int.from_bytes(data[at + 8 : at + 16], "little")
        if name == b"data":
            is_long = kind == b"RF64" and size == 0xFFFF_FFFF
            expected = long_size if is_long else size if size < _UNKNOWN_BYTES else 0
            refuse_truncated(found=len(data) - at, expected=expected, unit="bytes")
            return
        at += size + size % 2

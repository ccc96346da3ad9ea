"""Detects MP3 files without a frame count, such as streamed ones."""

import re
from typing import Final

from tasks.audio.id3 import id3_bytes

_TAG_BYTES: Final = 64  # at the start of the first frame, where the tag with the frame count is
_COUNT_TAG = re.compile(rb"Xing|Info|VBRI")


def has_frame_count(mp3: bytes) -> bool:
    """Whether the first frame, possibly after an ID3 tag, states the number of frames.

    Without it libsndfile estimates the length from size and bit rate, and may stop before the end
    of a complete file.
    """
    start = id3_bytes(mp3)
    return _COUNT_TAG.search(mp3, start, start + _TAG_BYTES) is not None

"""MP3 files that were streamed: nothing in them tells how long they are."""

import re
from typing import Final

_ID3_HEADER_BYTES: Final = 10
_TAG_BYTES: Final = 64  # of the first frame, within which it says whether it counts the others
_COUNT = re.compile(rb"Xing|Info|VBRI")


def tells_length(mp3: bytes) -> bool:
    """Whether the first frame, maybe behind an ID3 tag, counts the others.

    Where none does, libsndfile guesses by size and rate: it stops early, or misses samples at the
    end of files that are whole.
    """
    start = 0
    if mp3.startswith(b"ID3"):
        for seven_bits in mp3[6:_ID3_HEADER_BYTES]:
            start = start << 7 | seven_bits
        start += _ID3_HEADER_BYTES
    return _COUNT.search(mp3, start, start + _TAG_BYTES) is not None

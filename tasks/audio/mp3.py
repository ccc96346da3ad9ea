"""MP3: files without a frame count, such as streamed ones, and small files for listening."""

import re
from io import BytesIO
from typing import Final

from tasks.audio.id3 import id3_bytes
from tasks.audio.libsndfile import soundfile
from tasks.audio.pcm import SAMPLE_RATE_HZ, Pcm

_TAG_BYTES: Final = 64  # at the start of the first frame, where the tag with the frame count is
_COUNT_TAG = re.compile(rb"Xing|Info|VBRI")


def has_frame_count(mp3: bytes) -> bool:
    """Whether the first frame, possibly after an ID3 tag, states the number of frames.

    Without it libsndfile estimates the length from size and bit rate, and may stop before the end
    of a complete file.
    """
    start = id3_bytes(mp3)
    return _COUNT_TAG.search(mp3, start, start + _TAG_BYTES) is not None


def encode_mp3(samples: Pcm) -> bytes:
    """An MP3 file of about 40 kbit/s, which every browser plays, from (frames,) int16 at 16 kHz."""
    buffer = BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()

"""How long audio files are, by their headers, with a bound on how many are opened."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

import av

from tasks.audio.libsndfile import soundfile

MOST_HEADERS: Final = 500
"""Files that are opened; of more, so many are taken at even distances."""

_LONGEST_S: Final = 7 * 24 * 3600.0


def header_duration_s(file: Path | bytes) -> float | None:
    """The duration that a file states, in seconds; None where it states none or is no audio."""
    try:
        info = soundfile.info(BytesIO(file) if isinstance(file, bytes) else file)
        found = info.frames / info.samplerate
    except (soundfile.LibsndfileError, OSError):
        found = _container_duration_s(file)
    return found if 0 < found < _LONGEST_S else None


def _container_duration_s(file: Path | bytes) -> float:
    try:
        with av.open(BytesIO(file) if isinstance(file, bytes) else str(file), "r") as container:
            return float((container.duration or 0) / av.time_base)
    except (av.FFmpegError, OSError, ValueError):
        return 0.0


def sampled(num: int, most: int = MOST_HEADERS) -> list[int]:
    """At most `most` of the numbers from 0 to `num` - 1, at even distances.

    >>> sampled(3), sampled(10, 5)
    ([0, 1, 2], [0, 2, 4, 6, 8])
    """
    if num <= most:
        return list(range(num))
    return [index * num // most for index in range(most)]


def durations_of(files: Sequence[Path]) -> Mapping[int, float]:
    """The durations in seconds of a sample of files by their places; unreadable ones are absent."""
    found: dict[int, float] = {}
    for place in sampled(len(files)):
        duration_s = header_duration_s(files[place])
        if duration_s is not None:
            found[place] = duration_s
    return found

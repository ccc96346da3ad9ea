"""libsndfile's bindings, safe to use from several threads.

cffi builds the type of a C function at its first use. Two threads that do so at once abort the
process on Python 3.12 and earlier (python-cffi/cffi#271). Hence everything that this project calls
is used here once, while the import system lets only one thread in.
"""

from io import BytesIO

import numpy as np
import soundfile

from tasks.audio.pcm import SAMPLE_RATE_HZ

__all__ = ["soundfile"]


def _use_once() -> None:
    file = BytesIO()
    silence = np.zeros(1, dtype=np.int16)
    for subtype in ("PCM_16", "PCM_24"):
        file.seek(0)
        soundfile.write(file, silence, SAMPLE_RATE_HZ, format="FLAC", subtype=subtype)
    content = file.getvalue()
    soundfile.info(BytesIO(content))
    for dtype in ("int16", "int32", "float32", "float64"):
        soundfile.read(BytesIO(content), dtype=dtype)
    try:
        soundfile.read(BytesIO(b"no audio"))
    except soundfile.LibsndfileError as error:
        str(error)


_use_once()

"""Decoder for Shorten audio, run as a separate process with limited memory and time.

A few damaged bytes can expand to more samples than fit into memory, or keep a decoder busy for
hours. The limits apply to this process only, so a failure does not affect the caller.

Run by its path: `python -I unshorten.py <decoder> <max bytes of memory> <max seconds>`. Reads
standard input: a SPHERE file with shortened PCM for `ffmpeg`, a bare Shorten stream for `desphere`.
Writes the number of channels and the interleaved samples, each as two little-endian bytes. On
failure the exit status is not 0 and the last line on standard error says why.
"""

import contextlib
import resource
import sys
from io import BytesIO


def main() -> None:
    """Decode standard input to standard output within the limits."""
    decoder, max_bytes, max_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with contextlib.suppress(ValueError):  # some systems define this limit but do not support it
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (max_s, max_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    decode = _by_ffmpeg if decoder == "ffmpeg" else _by_desphere
    try:
        num_channels, pcm = decode(sys.stdin.buffer.read())
    except (ValueError, MemoryError) as error:  # FFmpegError is a ValueError too
        sys.exit(str(error) or "out of memory")
    sys.stdout.buffer.write(num_channels.to_bytes(2, "little"))
    sys.stdout.buffer.write(pcm)


def _by_desphere(stream: bytes) -> tuple[int, bytes]:
    from desphere_native import shorten_to_pcm

    num_channels, _, pcm = shorten_to_pcm(stream)
    return num_channels, pcm


def _by_ffmpeg(file: bytes) -> tuple[int, bytes]:
    import av  # imported late: importing takes longer than decoding most calls

    pcm = bytearray()
    num_channels = 0
    resampler = av.AudioResampler(format="s16")
    with av.open(BytesIO(file), "r") as container:
        for frame in container.decode(audio=0):
            for converted in resampler.resample(frame):
                num_channels = converted.layout.nb_channels
                plane = memoryview(converted.planes[0])
                pcm += plane[: 2 * num_channels * converted.samples]
    return num_channels, bytes(pcm)


if __name__ == "__main__":
    main()

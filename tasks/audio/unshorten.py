"""The decoding of shortened audio, as a process of its own: bytes in, samples out.

A few damaged bytes can stand for more samples than there is memory, or keep a decoder busy for
hours. What this process may take is limited, and what happens to it happens to nobody else.

Run by its path: `python -I unshorten.py <decoder> <most bytes of memory> <most seconds>`. Into
`ffmpeg` goes a SPHERE file of shortened pcm, into `desphere` a bare stream. Out come the number of
channels and interleaved samples, each in two bytes of little-endian order; or, with another exit
status than 0, a last line on standard error that says why not.
"""

import contextlib
import resource
import sys
from io import BytesIO


def main() -> None:
    """Decode standard input to standard output."""
    decoder, max_bytes, max_s = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with contextlib.suppress(ValueError):  # a system that knows the limit but does not take it
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (max_s, max_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    decode = _by_ffmpeg if decoder == "ffmpeg" else _by_desphere
    try:
        num_channels, pcm = decode(sys.stdin.buffer.read())
    except (ValueError, MemoryError) as error:  # FFmpeg's word for damage is a ValueError too
        sys.exit(str(error) or "out of memory")
    sys.stdout.buffer.write(num_channels.to_bytes(2, "little"))
    sys.stdout.buffer.write(pcm)


def _by_desphere(stream: bytes) -> tuple[int, bytes]:
    from desphere_native import shorten_to_pcm

    num_channels, _, pcm = shorten_to_pcm(stream)
    return num_channels, pcm


def _by_ffmpeg(file: bytes) -> tuple[int, bytes]:
    import av  # only where needed: it takes longer than most calls take to decode

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

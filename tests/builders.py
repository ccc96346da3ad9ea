"""Builders for small audio files and archives in the formats of the corpora."""

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile

Pcm = npt.NDArray[np.int16]


def sine(
    duration_s: float, *, rate_hz: int = 16_000, frequency_hz: float = 440.0, peak: float = 0.5
) -> Pcm:
    """A tone as (frames,) int16."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return np.round(32767 * peak * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.int16)


def noise(num_frames: int, num_channels: int = 1, seed: int = 0) -> Pcm:
    """Reproducible noise as (frames, channels) int16, without repetitions."""
    random = np.random.default_rng(seed)
    return random.integers(-8_000, 8_000, (num_frames, num_channels)).astype(np.int16)


def encoded(
    samples: npt.NDArray[np.generic], format: str, subtype: str | None = None, rate_hz: int = 16_000
) -> bytes:
    """An audio file in a format that libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=format, subtype=subtype)
    return file.getvalue()


def flac(samples: Pcm, rate_hz: int = 16_000) -> bytes:
    """A 16-bit FLAC file."""
    return encoded(samples, "FLAC", "PCM_16", rate_hz)


def sphere(samples: Pcm, rate_hz: int = 16_000, *, byte_order: str = "<", **fields: str) -> bytes:
    """A NIST SPHERE file of 16-bit PCM with a header as in real corpora.

    Libsndfile reads a header of 1,024 bytes; with further `fields` of more it is twice as long.
    """
    frames = samples.reshape(len(samples), -1)
    header = {
        "channel_count": f"-i {frames.shape[1]}",
        "sample_count": f"-i {len(frames)}",
        "sample_rate": f"-i {rate_hz}",
        "sample_n_bytes": "-i 2",
        "sample_byte_format": "-s2 01" if byte_order == "<" else "-s2 10",
        "sample_sig_bits": "-i 16",
        **fields,
        "sample_coding": "-s3 pcm",
    }
    lines = [f"{name} {value}" for name, value in header.items()]
    text = "\n".join([*lines, "end_head", ""])
    num_bytes = 1024 * (1 + len(text) // 1000)
    first = f"NIST_1A\n{num_bytes:7d}\n"
    return f"{first}{text}".encode().ljust(num_bytes) + frames.astype(f"{byte_order}i2").tobytes()


def m4a(samples: Pcm, rate_hz: int = 16_000) -> bytes:
    """AAC in an MP4 file, which libsndfile does not read."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """An archive member that is not a file: a link, a device, a folder."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def tar(files: Mapping[str, bytes], specials: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """A tar archive of files by name, followed by special members."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as writer:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            writer.addfile(member, io.BytesIO(content))
        for member in specials:
            writer.addfile(member)
    return archive.getvalue()


def tar_gz(files: Mapping[str, bytes], specials: Iterable[tarfile.TarInfo] = ()) -> bytes:
    """The same, compressed."""
    return gzip.compress(tar(files, specials), mtime=0)


def untimed(status: dict[str, Any]) -> dict[str, Any]:
    """What `distillery status --json` prints, without the time that shards took."""
    lines = [{**line, "seconds": None} for line in status["stages"]]
    return {**status, "stages": lines}

"""Audio as Whisper takes it: decoded, one channel, 16 kHz, and back into FLAC."""

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import av
import av.error
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from storage.schema import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]
Pcm = npt.NDArray[np.int16]

_BLOCK_SAMPLES: Final = 1 << 20
_LOWEST_RATE_HZ: Final = 1_000
_HIGHEST_RATE_HZ: Final = 1_000_000
_UNTOLD_FRAMES: Final = 1 << 36  # more than FLAC can tell
_SPHERE_HEADER_BYTES: Final = 2048
_SAMPLE_COUNT = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)


class AudioError(ValueError):
    """Bytes that are not whole, readable audio."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Decoded audio: `samples` is (frames, channels) int16 at `rate_hz`."""

    samples: Pcm
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


def decode(data: bytes) -> Audio:
    """Decode a whole audio file: by libsndfile, or by FFmpeg where that does not know the format.

    Raises `AudioError` when the bytes are no audio or end before their header says.
    """
    try:
        with soundfile.SoundFile(BytesIO(data)) as file:
            audio = Audio(_read_all(file), file.samplerate)
            num_frames = file.frames
    except soundfile.LibsndfileError as error:
        # without the address of the buffer, which would make the detail of a row differ each time
        audio, num_frames = _decode_with_ffmpeg(data, error.error_string), 0
    _refuse_truncated(data, expected=num_frames, found=len(audio.samples))
    if not _LOWEST_RATE_HZ <= audio.rate_hz <= _HIGHEST_RATE_HZ:
        raise AudioError(f"a sample rate of {audio.rate_hz} Hz")
    return audio


def _read_all(file: soundfile.SoundFile) -> Pcm:
    """All frames, block by block: a header may promise more than memory holds."""
    is_float = file.subtype in ("FLOAT", "DOUBLE")  # which libsndfile would not scale to 16 bit
    num_frames = _BLOCK_SAMPLES // file.channels
    blocks = [np.zeros((0, file.channels), dtype=np.int16)]
    while len(block := file.read(num_frames, "float32" if is_float else "int16", always_2d=True)):
        blocks.append(_to_pcm(block) if is_float else block)
    return np.concatenate(blocks)


def _to_pcm(samples: Samples) -> Pcm:
    scaled = np.rint(np.nan_to_num(samples) * 32768.0)
    pcm: Pcm = np.clip(scaled, -32768, 32767).astype(np.int16)
    return pcm


def _decode_with_ffmpeg(data: bytes, reason: str) -> Audio:
    try:
        with av.open(BytesIO(data), "r") as container:
            if not container.streams.audio:
                raise AudioError(f"no audio in it ({reason})")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(f"of an unknown codec ({reason})")
            # interleaved, since PyAV reads the planes of more than eight channels out of bounds
            resampler = av.AudioResampler(format="s16")
            blocks = [
                converted.to_ndarray().reshape(-1, converted.layout.nb_channels)
                for frame in container.decode(stream)
                for converted in resampler.resample(frame)
            ]
            if not blocks:
                raise AudioError(f"no samples in it ({reason})")
            return Audio(np.concatenate(blocks), stream.codec_context.sample_rate)
    except AudioError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError(f"cannot be decoded: {error} ({reason})") from error


def _refuse_truncated(data: bytes, *, expected: int, found: int) -> None:
    """Libsndfile takes what is there; a SPHERE header says per channel how much there should be."""
    is_sphere = data.startswith(b"NIST_1A")
    if is_sphere and (match := _SAMPLE_COUNT.search(data[:_SPHERE_HEADER_BYTES])):
        expected = int(match[1])
    elif expected >= _UNTOLD_FRAMES:
        return
    if found < expected:
        raise AudioError(f"truncated: {found} of {expected} samples")


def cut(audio: Audio, channel: int, start_s: float, end_s: float | None) -> Audio:
    """One channel of a stretch of a recording; raises `AudioError` for a channel it has not."""
    num_channels = audio.samples.shape[1]
    if channel >= num_channels:
        raise AudioError(f"channel {channel} of {num_channels}")
    first = round(start_s * audio.rate_hz)
    last = len(audio.samples) if end_s is None else round(end_s * audio.rate_hz)
    return Audio(audio.samples[first:last, channel : channel + 1], audio.rate_hz)


def to_whisper_rate(audio: Audio) -> Pcm:
    """The first channel as (frames,) int16 at 16 kHz, resampled at high quality where needed."""
    mono = audio.samples[:, 0]
    if audio.rate_hz == SAMPLE_RATE_HZ:
        return mono
    resampled: Pcm = soxr.resample(mono, audio.rate_hz, SAMPLE_RATE_HZ)
    return resampled


def encode_flac(samples: Pcm) -> bytes:
    """A FLAC file, 16 kHz, mono, 16 bit, from (frames,) int16."""
    buffer = BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def is_normalised_flac(data: bytes, audio: Audio) -> bool:
    """Whether a file is already of the form that `encode_flac` makes, and can stay as it is."""
    return (
        data.startswith(b"fLaC")
        and audio.rate_hz == SAMPLE_RATE_HZ
        and audio.samples.shape[1] == 1
        and soundfile.info(BytesIO(data)).subtype == "PCM_16"
    )


def decode_flac(data: bytes) -> Samples:
    """A normalised utterance as (frames,) float32 in [-1, 1) at 16 kHz; raises `AudioError`."""
    return decode(data).samples[:, 0].astype(np.float32) / 32768.0

"""Audio for Whisper: decode any format, take one channel, resample to 16 kHz, encode as FLAC."""

from hashlib import md5
from io import BytesIO
from typing import Final

import numpy as np
import soxr

from tasks.audio.ffmpeg import decode_with_ffmpeg
from tasks.audio.flac import FLAC_MAGIC, Samples, StreamInfo, decode_normalised
from tasks.audio.flac_file import decode_flac_file
from tasks.audio.id3 import id3_bytes
from tasks.audio.libsndfile import soundfile
from tasks.audio.mp3 import has_frame_count
from tasks.audio.ogg import OGG_MAGIC, refuse_damaged_ogg
from tasks.audio.pcm import SAMPLE_RATE_HZ, Audio, AudioError, Pcm, refuse_truncated
from tasks.audio.sphere import SPHERE_MAGIC, decode_sphere
from tasks.audio.wave import refuse_truncated_wave

__all__ = [
    "SAMPLE_RATE_HZ",
    "Audio",
    "AudioError",
    "Pcm",
    "Samples",
    "audio_digest",
    "cut",
    "decode",
    "decode_flac",
    "encode_flac",
    "encode_wave",
    "is_normalised_flac",
    "to_whisper_rate",
]

_BLOCK_SAMPLES: Final = 1 << 20
_LOWEST_RATE_HZ: Final = 1_000
_HIGHEST_RATE_HZ: Final = 1_000_000
_UNKNOWN_FRAMES: Final = 1 << 36  # libsndfile gives more if it does not know the length


def decode(data: bytes) -> Audio:
    """Decode an audio file with libsndfile, or with FFmpeg if libsndfile does not know the format.

    Raises `AudioError` if the bytes are not audio, are fewer than the header says, or differ from
    a checksum or digest that the format has (FLAC, Ogg).
    """
    if not data:
        raise AudioError("the file is empty")
    data = _without_id3(data)
    if data.startswith(SPHERE_MAGIC):
        audio = decode_sphere(data)
    elif data.startswith(FLAC_MAGIC):
        audio = decode_flac_file(data)
    else:
        refuse_damaged_ogg(data)
        refuse_truncated_wave(data)
        audio = _decode_by_content(data)
    if not _LOWEST_RATE_HZ <= audio.rate_hz <= _HIGHEST_RATE_HZ:
        raise AudioError(f"a sample rate of {audio.rate_hz} Hz")
    return audio


def _without_id3(data: bytes) -> bytes:
    """FLAC and Ogg without a tag before them; other files as they are."""
    end = id3_bytes(data)
    return data[end:] if data.startswith((FLAC_MAGIC, OGG_MAGIC), end) else data


def _decode_by_content(data: bytes) -> Audio:
    try:
        file = soundfile.SoundFile(BytesIO(data))
    except soundfile.LibsndfileError as error:
        # error_string leaves out the buffer's address, which would differ on every run
        return decode_with_ffmpeg(data, error.error_string)
    with file:
        if file.format == "MP3" and not has_frame_count(data):
            return decode_with_ffmpeg(data, "an MP3 file without a frame count")
        try:
            audio = Audio(_read_all(file), file.samplerate)
        except soundfile.LibsndfileError as error:
            return decode_with_ffmpeg(data, error.error_string)
        if file.frames < _UNKNOWN_FRAMES:
            refuse_truncated(found=len(audio.samples), expected=file.frames)
    return audio


def _read_all(file: soundfile.SoundFile) -> Pcm:
    """All frames, read in blocks: a header may claim more frames than fit into memory."""
    is_float = file.subtype in ("FLOAT", "DOUBLE")  # libsndfile does not scale these to 16 bit
    num_frames = _BLOCK_SAMPLES // file.channels
    blocks = [np.zeros((0, file.channels), dtype=np.int16)]
    while len(block := file.read(num_frames, "float32" if is_float else "int16", always_2d=True)):
        blocks.append(_to_pcm(block) if is_float else block)
    return np.concatenate(blocks)


def _to_pcm(samples: Samples) -> Pcm:
    scaled = np.rint(np.nan_to_num(samples) * 32768.0)
    pcm: Pcm = np.clip(scaled, -32768, 32767).astype(np.int16)
    return pcm


def cut(audio: Audio, channel: int, start_s: float, end_s: float | None) -> Audio:
    """One channel of a recording between two times; raises `AudioError` for a missing channel."""
    num_channels = audio.samples.shape[1]
    if channel >= num_channels:
        raise AudioError(f"channel {channel} of {num_channels}")
    first = round(start_s * audio.rate_hz)
    last = len(audio.samples) if end_s is None else round(end_s * audio.rate_hz)
    return Audio(audio.samples[first:last, channel : channel + 1], audio.rate_hz)


def to_whisper_rate(audio: Audio) -> Pcm:
    """The first channel as (frames,) int16 at 16 kHz, resampled at high quality if needed."""
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


def encode_wave(samples: Pcm) -> bytes:
    """A WAV file, 16 kHz, mono, 16 bit, from (frames,) int16."""
    buffer = BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def is_normalised_flac(data: bytes) -> bool:
    """Whether a file already has the format that `encode_flac` writes and can be kept unchanged."""
    info = StreamInfo.of(data)
    return info is not None and info.is_normalised


def audio_digest(flac: bytes) -> bytes:
    """MD5 of the samples of a normalised utterance, (frames,) int16 little-endian.

    Taken from the FLAC header; the audio is decoded only if the encoder left the digest out. Raises
    `AudioError`.
    """
    if (info := StreamInfo.of(flac)) is not None and info.md5:
        return info.md5
    samples = decode(flac).samples[:, 0].astype("<i2")
    return md5(samples.tobytes(), usedforsecurity=False).digest()


def decode_flac(data: bytes | None) -> Samples:
    """A normalised utterance as (frames,) float32 in [-1, 1) at 16 kHz.

    Raises `AudioError`, also if a row has no audio (None).
    """
    content = data or b""
    if (samples := decode_normalised(content)) is not None:
        return samples
    return decode(content).samples[:, 0].astype(np.float32) / 32768.0

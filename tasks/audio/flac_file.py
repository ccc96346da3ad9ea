"""Decoder for FLAC files of corpora: all samples as they were encoded, or an error.

libsndfile reports damaged frames, but does not compare the digest of the samples, nor the format
in the first block with that of the frames. FFmpeg is never used, because it conceals damage.
"""

from hashlib import md5
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tasks.audio.flac import StreamInfo
from tasks.audio.flac_frames import check_first_frame
from tasks.audio.libsndfile import soundfile
from tasks.audio.pcm import Audio, AudioError, Pcm, refuse_truncated

_BLOCK_SAMPLES: Final = 1 << 20
_MAX_BY_DR_FLAC: Final = 1 << 20  # samples: it allocates what the header claims
_HAS_DR_FLAC: Final = find_spec("miniaudio") is not None
_READ_AS: Final = {8: "int16", 16: "int16", 24: "int32"}
"""The types that hold samples of so many bits, in their upper bits."""


def decode_flac_file(data: bytes) -> Audio:
    """Decode a file that starts with `fLaC`, of 8, 16 or 24 bits.

    The decoders check the checksum of each frame; the samples are compared with their number and
    MD5 in the header (RFC 9639, section 8.2), where it states these. Raises `AudioError`.
    """
    info = StreamInfo.of(data)
    if info is None:
        raise AudioError("truncated: a FLAC file without its first block")
    if info.bits not in _READ_AS:
        raise AudioError(f"FLAC of {info.bits} bits, expected 8, 16 or 24")
    check_first_frame(data, info)
    samples = _by_dr_flac(data, info)
    return Audio(_by_libsndfile(data, info) if samples is None else samples, info.rate_hz)


def _by_dr_flac(data: bytes, info: StreamInfo) -> Pcm | None:
    """All samples, in 0.6 of the time; None if that cannot be proven, for whatever reason."""
    num_samples = info.num_samples * info.num_channels
    if not _HAS_DR_FLAC or info.bits != 16 or not info.md5 or num_samples > _MAX_BY_DR_FLAC:
        return None
    import miniaudio

    try:
        decoded = miniaudio.flac_read_s16(data)
    except miniaudio.DecodeError:
        return None
    num_found = len(decoded.samples)
    if decoded.nchannels != info.num_channels or num_samples not in (0, num_found):
        return None
    samples = np.frombuffer(decoded.samples, np.int16).reshape(-1, info.num_channels)
    found = md5(_as_digested(samples, info.bits), usedforsecurity=False).digest()
    return samples if found == info.md5 else None


def _by_libsndfile(data: bytes, info: StreamInfo) -> Pcm:
    # without a digest, only the end of the file proves that the stated length is not too low
    content = data if info.md5 else _with_unknown_length(data)
    digest = md5(usedforsecurity=False)
    blocks = [np.zeros((0, info.num_channels), dtype=np.int16)]
    try:
        with soundfile.SoundFile(BytesIO(content)) as file:
            # read from start to end: without a length libsndfile cannot seek
            file.seekable = lambda: False
            if file.channels != info.num_channels:
                raise AudioError(f"damaged: {file.channels} channels, not {info.num_channels}")
            num_frames = _BLOCK_SAMPLES // info.num_channels
            while len(block := file.read(num_frames, _READ_AS[info.bits], always_2d=True)):
                digest.update(_as_digested(block, info.bits))
                blocks.append(block if block.dtype == np.int16 else (block >> 16).astype(np.int16))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"damaged: {error.error_string}") from error
    samples = np.concatenate(blocks)
    refuse_truncated(found=len(samples), expected=info.num_samples)
    if info.num_samples and len(samples) > info.num_samples:
        raise AudioError(f"damaged: {len(samples)} samples, its header says {info.num_samples}")
    if info.md5 and digest.digest() != info.md5:
        raise AudioError("damaged: the samples have another MD5 than the header says")
    return samples


def _as_digested(samples: npt.NDArray[Any], bits: int) -> bytes:
    """The upper `bits` of each sample as FLAC digests them: signed, little-endian."""
    num_bytes = samples.dtype.itemsize
    ordered = samples.astype(f"<i{num_bytes}", copy=False)
    if bits == 8 * num_bytes:
        return ordered.tobytes()
    return ordered.view(np.uint8).reshape(-1, num_bytes)[:, num_bytes - bits // 8 :].tobytes()


def _with_unknown_length(data: bytes) -> bytes:
    """The file with 0 as its number of samples, the lower 36 bits of bytes 18 to 25."""
    return data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]

"""Writer for NIST SPHERE files: an ASCII header and PCM, companded or Shorten samples."""

from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.audio.libsndfile import soundfile
from tasks.demo.formats.shorten import SampleType, shorten_stream

HEADER_BYTES = 1_024
SHORTEN: Final = "embedded-shorten-v2.00"
_SUBTYPES: Final = {"ulaw": "ULAW", "mu-law": "ULAW", "alaw": "ALAW"}
_NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})


def sphere_file(
    samples: npt.NDArray[np.int16],
    sample_rate_hz: int,
    *,
    big_endian: bool = False,
    coding: str = "pcm",
    fields: Mapping[str, str] = _NO_FIELDS,
    header_bytes: int = HEADER_BYTES,
) -> bytes:
    """The content of a SPHERE file.

    `samples`: int16 (n,) for one channel or (n, channels), written interleaved. `coding` is `pcm`,
    `ulaw`, `mu-law` or `alaw`, in any case; the first three also with `,embedded-shorten-v2.00`.
    `fields` such as `{"conversation_id": "-s4 9001"}` precede the others or replace the one of the
    same name. The header grows in steps of 1,024 bytes if needed.
    """
    frames = samples[:, None] if samples.ndim == 1 else samples
    base, _, compression = coding.lower().partition(",")
    num_bytes, byte_format = (1, "1") if base in _SUBTYPES else (2, "10" if big_endian else "01")
    header = {
        **fields,
        "channel_count": f"-i {frames.shape[1]}",
        "sample_count": f"-i {len(frames)}",
        "sample_rate": f"-i {sample_rate_hz}",
        "sample_n_bytes": f"-i {num_bytes}",
        "sample_byte_format": f"-s{len(byte_format)} {byte_format}",
        "sample_sig_bits": f"-i {8 * num_bytes}",
        "sample_coding": f"-s{len(coding)} {coding}",
        **fields,
    }
    return _header(header, header_bytes) + _payload(frames, base, compression, big_endian)


def _header(fields: Mapping[str, str], num_bytes: int) -> bytes:
    lines = [f"{name} {value}" for name, value in fields.items()]
    text = "\n".join([*lines, "end_head", ""])
    num_bytes += -(-max(0, len(text) + 16 - num_bytes) // HEADER_BYTES) * HEADER_BYTES
    return f"NIST_1A\n{num_bytes:7d}\n{text}".encode("ascii").ljust(num_bytes)


def _payload(frames: npt.NDArray[np.int16], base: str, compression: str, big_endian: bool) -> bytes:
    subtype = _SUBTYPES.get(base)
    if compression not in ("", SHORTEN) or (compression and subtype == "ALAW"):
        raise ValueError(f"unsupported coding {base},{compression}")
    if subtype is None and not compression:
        return frames.astype(">i2" if big_endian else "<i2").tobytes()
    if subtype is None:
        big, little = SampleType.PCM16_BIG_ENDIAN, SampleType.PCM16_LITTLE_ENDIAN
        return shorten_stream(frames, big if big_endian else little)
    companded = _companded(frames, subtype)
    if not compression:
        return companded
    codes = np.frombuffer(companded, dtype=np.uint8).reshape(frames.shape)
    return shorten_stream(codes, SampleType.MU_LAW)


def _companded(frames: npt.NDArray[np.int16], subtype: str) -> bytes:
    """Encode by G.711, one byte per sample."""
    file = BytesIO()
    soundfile.write(file, frames, 8_000, format="RAW", subtype=subtype)
    return file.getvalue()

"""NIST SPHERE files, written: an ASCII header of 1,024 bytes and 16-bit PCM samples."""

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 1_024


def sphere_file(samples: npt.NDArray[np.int16], sample_rate_hz: int, *, big_endian: bool) -> bytes:
    """The bytes of a SPHERE file.

    `samples`: int16 (n,) for one channel or (n, channels), written interleaved.
    """
    num_channels = 1 if samples.ndim == 1 else samples.shape[1]
    byte_format = "10" if big_endian else "01"
    fields = (
        f"channel_count -i {num_channels}",
        f"sample_count -i {samples.shape[0]}",
        f"sample_rate -i {sample_rate_hz}",
        "sample_n_bytes -i 2",
        f"sample_byte_format -s2 {byte_format}",
        "sample_sig_bits -i 16",
        "sample_coding -s3 pcm",
        "end_head",
    )
    header = "\n".join(("NIST_1A", f"{HEADER_BYTES:7d}", *fields, "")).encode("ascii")
    return header.ljust(HEADER_BYTES) + samples.astype(">i2" if big_endian else "<i2").tobytes()

"""Reader for NIST SPHERE files: parses the header and picks a decoder for the sample coding.

libsndfile and FFmpeg alone are not enough: neither detects truncated samples or decodes mu-law
under Shorten, and one or the other fails on long headers, on upper-case codings, or reads channels
that are not interleaved as if they were.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from re import fullmatch, match
from typing import Final

import numpy as np

from tasks.audio.libsndfile import soundfile
from tasks.audio.pcm import Audio, AudioError, Pcm, refuse_truncated

SPHERE_MAGIC: Final = b"NIST_1A"

_UNSHORTEN: Final = str(Path(__file__).with_name("unshorten.py"))

_PCM: Final = {"01": "<i2", "10": ">i2"}
_ALIASES: Final = {"mu-law": "ulaw", "mulaw": "ulaw", "a-law": "alaw"}
_SHOWN_CHARS: Final = 40
_MAX_CHANNELS: Final = 1_024  # of libsndfile
_MAX_SHORTENED_SAMPLES: Final = 1 << 26  # over all channels: 70 minutes of a telephone call
_BYTES_PER_SAMPLE: Final = 48  # memory use of the decoders
_BASE_BYTES: Final = 1 << 29
_SAMPLES_PER_S: Final = 1_000_000  # a tenth of the decoders' speed, for slow machines
_BASE_S: Final = 2


@dataclass(frozen=True, slots=True)
class _Header:
    num_bytes: int
    fields: Mapping[str, str]

    def number(self, name: str) -> int | None:
        """The value of a field; None if there is no such field."""
        value = self.fields.get(name)
        if value is None:
            return None
        if not (digits := fullmatch(r"(\d{1,15})(\.0*)?", value)):
            raise AudioError(f"{name} {value[:_SHOWN_CHARS]!r} in a SPHERE header, not a number")
        return int(digits[1])

    def positive(self, name: str) -> int:
        """The value of a field that must be present and above 0."""
        if not (value := self.number(name)):
            raise AudioError(f"{name} {value} in a SPHERE header, expected one above 0")
        return value

    @property
    def coding(self) -> str:
        """The coding in lower case with one spelling; pcm is the default of the format."""
        base, *compressions = self.fields.get("sample_coding", "pcm").lower().split(",")
        parts = [part.strip() for part in (base, *compressions)]
        return ",".join(filter(None, (_ALIASES.get(parts[0], parts[0]), *parts[1:])))


def decode_sphere(data: bytes) -> Audio:
    """Decode a SPHERE file; raises `AudioError`, also if samples are missing.

    `sample_count` is per channel. The first release of Switchboard counted both channels together,
    so a stereo file with exactly half as many frames is complete too (a file truncated at exactly
    that point cannot be distinguished from it). Data after the last counted sample is ignored.
    """
    header = _header(data)
    if (num_channels := header.positive("channel_count")) > _MAX_CHANNELS:
        raise AudioError(f"{num_channels} channels, expected {_MAX_CHANNELS} or fewer")
    interleaved = header.fields.get("channels_interleaved", "TRUE")
    if num_channels > 1 and interleaved.upper() != "TRUE":
        raise AudioError("a SPHERE file whose channels are not interleaved")
    if not (decode := _DECODERS.get(header.coding)):
        found = header.fields["sample_coding"][:_SHOWN_CHARS]
        raise AudioError(f"SPHERE coding {found!r}, expected one of {'; '.join(_DECODERS)}")
    rate_hz, num_frames = header.positive("sample_rate"), header.number("sample_count")
    samples = decode(data, header)
    counts_both = samples.shape[1] == 2 and 2 * len(samples) == num_frames
    if num_frames is not None and not counts_both:
        refuse_truncated(found=len(samples), expected=num_frames)
    return Audio(samples[:num_frames], rate_hz)


def _header(data: bytes) -> _Header:
    if not (first := match(rb"NIST_1A\r?\n *(\d{1,7})\r?\n", data)):
        raise AudioError("a SPHERE header without its size")
    size = int(first[1])
    text, end, _ = data[:size].decode("latin-1").partition("\nend_head")
    if not end:
        raise AudioError(f"a SPHERE header without an end in its {size} bytes")
    lines = (line.split(None, 2) for line in text.split("\n")[2:])
    fields = {line[0]: line[2].strip() for line in lines if len(line) == 3}
    return _Header(size, fields)


def _plain(data: bytes, header: _Header) -> Pcm:
    num_bytes, order = header.number("sample_n_bytes"), header.fields.get("sample_byte_format", "")
    if num_bytes != 2 or order not in _PCM:
        raise AudioError(
            f"SPHERE pcm of {num_bytes} bytes in the order {order[:_SHOWN_CHARS]!r},"
            " expected 2 in '01' or '10'"
        )
    num_channels = header.positive("channel_count")
    num_frames = max(0, len(data) - header.num_bytes) // (num_bytes * num_channels)
    body = memoryview(data)[header.num_bytes :][: num_frames * num_bytes * num_channels]
    samples = np.frombuffer(body, _PCM[order]).reshape(num_frames, num_channels)
    return samples.astype(np.int16)


def _mu_law(data: bytes, header: _Header) -> Pcm:
    return _companded(data, header, "ULAW")


def _a_law(data: bytes, header: _Header) -> Pcm:
    return _companded(data, header, "ALAW")


def _companded(data: bytes, header: _Header, subtype: str) -> Pcm:
    if (num_bytes := header.number("sample_n_bytes")) not in (None, 1):
        raise AudioError(f"SPHERE {header.coding} of {num_bytes} bytes, expected 1")
    num_channels = header.positive("channel_count")
    try:
        samples: Pcm = soundfile.read(
            BytesIO(data[header.num_bytes :]),
            dtype="int16",
            always_2d=True,
            format="RAW",
            subtype=subtype,
            channels=num_channels,
            samplerate=8_000,  # does not affect decoding
        )[0]
    except soundfile.LibsndfileError as error:
        raise AudioError(f"cannot be decoded: {error.error_string}") from error
    return samples


def _shortened_pcm(data: bytes, header: _Header) -> Pcm:
    """Use FFmpeg: desphere 0.1.1 is wrong for streams whose low bits were shifted out."""
    return _unshortened("ffmpeg", data, header)


def _shortened_mu_law(data: bytes, header: _Header) -> Pcm:
    """Use desphere: FFmpeg does not support mu-law under Shorten."""
    return _unshortened("desphere", data[header.num_bytes :], header)


def _unshortened(decoder: str, data: bytes, header: _Header) -> Pcm:
    """Decode in a process whose memory and time are limited by the sample count in the header."""
    if (num_frames := header.number("sample_count")) is None:
        raise AudioError("a shortened SPHERE file without sample_count")
    num_samples = num_frames * header.positive("channel_count")
    if num_samples > _MAX_SHORTENED_SAMPLES:
        raise AudioError(
            f"{num_samples} samples in a shortened SPHERE file, expected"
            f" {_MAX_SHORTENED_SAMPLES} or fewer"
        )
    max_bytes = _BASE_BYTES + _BYTES_PER_SAMPLE * num_samples
    max_s = _BASE_S + num_samples // _SAMPLES_PER_S
    command = [sys.executable, "-I", _UNSHORTEN, decoder, str(max_bytes), str(max_s)]
    done = subprocess.run(  # in a session of its own: Ctrl-C would look like a fault of the file
        command, input=data, capture_output=True, check=False, start_new_session=True
    )
    if (
        done.returncode == -signal.SIGKILL
    ):  # by the system, for lack of memory: not a fault of the file
        raise RuntimeError("the decoder of shortened audio was killed")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise AudioError(f"cannot be decoded: {lines[-1] if lines else _signal(done.returncode)}")
    found, expected = int.from_bytes(done.stdout[:2], "little"), header.positive("channel_count")
    if found != expected:
        raise AudioError(f"{found} channels in a shorten stream, {expected} in its SPHERE header")
    return np.frombuffer(done.stdout, "<i2", offset=2).reshape(-1, found).astype(np.int16)


def _signal(returncode: int) -> str:
    """The name of the signal that ended a process."""
    return signal.Signals(-returncode).name


_DECODERS: Final[Mapping[str, Callable[[bytes, _Header], Pcm]]] = {
    "pcm": _plain,
    "ulaw": _mu_law,
    "alaw": _a_law,
    "pcm,embedded-shorten-v2.00": _shortened_pcm,
    "ulaw,embedded-shorten-v2.00": _shortened_mu_law,
}

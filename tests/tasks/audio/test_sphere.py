"""Every kind of SPHERE file is decoded or is a one-line error."""

import io
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from desphere_native import shorten_to_pcm

from tasks.audio import Audio, AudioError, decode
from tasks.demo.formats.sphere import HEADER_BYTES, sphere_file
from tests.builders import Pcm, encoded, noise

REPOSITORY = Path(__file__).parents[3]
SHORTEN = "embedded-shorten-v2.00"
MU_LAW_SHORTEN = f"ulaw,{SHORTEN}"
PCM_SHORTEN = f"pcm,{SHORTEN}"


def call(num_frames: int = 8_037, num_channels: int = 2) -> Pcm:
    """Telephone-like audio: intermittent tones over noise, different in each channel."""
    time_s = np.arange(num_frames)[:, None] / 8_000
    tones = np.sin(2 * np.pi * (300 + 150 * np.arange(num_channels)) * time_s)
    loud = 9_000 * tones * (np.sin(2 * np.pi * 0.7 * time_s) > 0)
    return (loud + noise(num_frames, num_channels) / 40).astype(np.int16)


CALL = call()


def companded(samples: Pcm, subtype: str) -> Pcm:
    """The samples after G.711, by libsndfile."""
    wav = io.BytesIO(encoded(samples, "WAV", subtype, 8_000))
    decoded: Pcm = soundfile.read(wav, dtype="int16", always_2d=True)[0]
    return decoded


CODINGS = {
    "pcm": None,
    "PCM": None,
    "ulaw": "ULAW",
    "mu-law": "ULAW",
    "ULAW": "ULAW",
    "alaw": "ALAW",
    PCM_SHORTEN: None,
    PCM_SHORTEN.upper(): None,
    MU_LAW_SHORTEN: "ULAW",
    f"mu-law,{SHORTEN}": "ULAW",
}


@pytest.mark.parametrize("header_bytes", [HEADER_BYTES, 2 * HEADER_BYTES, 5 * HEADER_BYTES])
@pytest.mark.parametrize(("coding", "subtype"), CODINGS.items())
def test_every_coding_is_decoded(coding: str, subtype: str | None, header_bytes: int) -> None:
    for num_channels in (1, 2):
        samples = CALL[:, :num_channels]
        audio = decode(sphere_file(samples, 8_000, coding=coding, header_bytes=header_bytes))
        assert audio.rate_hz == 8_000
        assert audio.samples.dtype == np.int16
        expected = samples if subtype is None else companded(samples, subtype)
        assert np.array_equal(audio.samples, expected)


@pytest.mark.parametrize("coding", ["pcm", PCM_SHORTEN])
@pytest.mark.parametrize("big_endian", [False, True])
def test_the_byte_order_of_the_header_is_used(coding: str, big_endian: bool) -> None:
    audio = decode(sphere_file(CALL, 8_000, coding=coding, big_endian=big_endian))
    assert np.array_equal(audio.samples, CALL)


@pytest.mark.parametrize("coding", list(CODINGS))
def test_other_fields_may_be_anywhere_in_a_long_header(coding: str) -> None:
    fields = {f"comment_{number}": f"-s60 {'x' * 60}" for number in range(40)}
    content = sphere_file(CALL, 8_000, coding=coding, fields=fields)
    assert content.index(b"sample_coding") > 2 * HEADER_BYTES
    plain = decode(sphere_file(CALL, 8_000, coding=coding))
    assert np.array_equal(decode(content).samples, plain.samples)


def test_six_channels_are_not_mixed() -> None:
    for coding in ("pcm", "ulaw", MU_LAW_SHORTEN, PCM_SHORTEN):
        samples = call(1_000, 6)
        expected = companded(samples, "ULAW") if "ulaw" in coding else samples
        assert np.array_equal(decode(sphere_file(samples, 8_000, coding=coding)).samples, expected)


def without(content: bytes, *names: str) -> bytes:
    """A file without some of its fields."""
    lines = content[:HEADER_BYTES].decode().rstrip().split("\n")
    kept = [line for line in lines if line.partition(" ")[0] not in names]
    return ("\n".join([*kept, ""])).encode().ljust(HEADER_BYTES) + content[HEADER_BYTES:]


def test_optional_header_fields() -> None:
    content = sphere_file(CALL, 8_000)
    assert np.array_equal(decode(without(content, "sample_coding")).samples, CALL)
    assert np.array_equal(decode(without(content, "sample_count", "sample_sig_bits")).samples, CALL)
    mu_law = without(sphere_file(CALL, 8_000, coding="ulaw"), "sample_n_bytes")
    assert np.array_equal(decode(mu_law).samples, companded(CALL, "ULAW"))


@pytest.mark.parametrize(
    ("coding", "missing"),
    [
        ("pcm", "sample_rate"),
        ("pcm", "channel_count"),
        ("pcm", "sample_n_bytes"),
        ("pcm", "sample_byte_format"),
        ("pcm", "end_head"),
        (MU_LAW_SHORTEN, "sample_count"),
        (PCM_SHORTEN, "sample_count"),
    ],
)
def test_required_header_fields(coding: str, missing: str) -> None:
    with pytest.raises(AudioError):
        decode(without(sphere_file(CALL, 8_000, coding=coding), missing))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"channels_interleaved": "-s5 FALSE"}, "not interleaved"),
        ({"sample_coding": "-s23 pcm,embedded-wavpack-v1"}, "'pcm,embedded-wavpack-v1', expected"),
        ({"sample_coding": "-s26 pcm,embedded-shorten-v1.09"}, "shorten-v1.09', expected one of"),
        ({"sample_coding": "-s27 alaw,embedded-shorten-v2.00"}, "alaw,embedded"),
        ({"sample_coding": "-s4 mp17"}, "'mp17'"),
        ({"sample_n_bytes": "-i 4"}, "pcm of 4 bytes"),
        ({"sample_byte_format": "-s4 3210"}, "order '3210'"),
        ({"channel_count": "-i 0"}, "channel_count 0"),
        ({"channel_count": "-i -2"}, "channel_count '-2'"),
        ({"channel_count": "-i 1000000000000"}, "1000000000000 channels"),
        ({"sample_rate": "-s4 fast"}, "sample_rate 'fast'"),
        ({"sample_rate": "-i 0"}, "sample_rate 0"),
        ({"sample_count": "-i " + "9" * 5_000}, "not a number"),
        ({"sample_count": "-i 1000000000000"}, "truncated: 8037 of 1000000000000 samples"),
    ],
)
def test_an_unsupported_header_is_a_one_line_error(fields: Mapping[str, str], words: str) -> None:
    with pytest.raises(AudioError) as raised:
        decode(sphere_file(CALL, 8_000, fields=fields))
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 200


def test_a_single_channel_is_always_interleaved() -> None:
    fields = {"channels_interleaved": "-s5 FALSE"}
    mono = CALL[:, :1]
    assert np.array_equal(decode(sphere_file(mono, 8_000, fields=fields)).samples, mono)


PLAIN_OR_NOT = ["pcm", "ulaw", PCM_SHORTEN, MU_LAW_SHORTEN]


@pytest.mark.parametrize("coding", PLAIN_OR_NOT)
def test_a_count_of_both_channels_together_is_accepted(coding: str) -> None:
    fields = {"sample_count": f"-i {2 * len(CALL)}"}
    expected = decode(sphere_file(CALL, 8_000, coding=coding))
    audio = decode(sphere_file(CALL, 8_000, coding=coding, fields=fields))
    assert np.array_equal(audio.samples, expected.samples)


@pytest.mark.parametrize("coding", PLAIN_OR_NOT)
@pytest.mark.parametrize(
    ("num_channels", "count"), [(2, 8_038), (2, 2 * 8_037 - 1), (2, 2 * 8_037 + 1), (1, 2 * 8_037)]
)
def test_any_other_count_above_the_samples_means_truncated(
    coding: str, num_channels: int, count: int
) -> None:
    fields = {"sample_count": f"-i {count}"}
    with pytest.raises(AudioError, match=f"truncated: 8037 of {count} samples"):
        decode(sphere_file(CALL[:, :num_channels], 8_000, coding=coding, fields=fields))


@pytest.mark.parametrize("coding", PLAIN_OR_NOT)
def test_data_after_the_last_sample_is_ignored(coding: str) -> None:
    fields = {"sample_count": "-i 8000"}
    content = sphere_file(CALL, 8_000, coding=coding, fields=fields)
    whole = decode(sphere_file(CALL, 8_000, coding=coding))
    assert np.array_equal(decode(content + b"\0" * 99).samples, whole.samples[:8_000])


@pytest.mark.parametrize("coding", PLAIN_OR_NOT)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(coding: str, kept: float) -> None:
    content = sphere_file(CALL, 8_000, coding=coding)
    body = content[HEADER_BYTES:]
    with pytest.raises(AudioError):
        decode(content[:HEADER_BYTES] + body[: int(len(body) * kept)])


def test_a_stream_with_other_channels_than_its_header_is_refused() -> None:
    for coding in (PCM_SHORTEN, MU_LAW_SHORTEN):
        stream = sphere_file(CALL[:, :1], 8_000, coding=coding)[HEADER_BYTES:]
        header = sphere_file(CALL, 8_000, coding=coding)[:HEADER_BYTES]
        with pytest.raises(AudioError, match="1 channels in a shorten stream, 2 in its"):
            decode(header + stream)


def test_two_decoders_of_shortened_pcm_agree() -> None:
    for num_channels in (1, 2):
        samples = call(20_001, num_channels) + np.int16(700)
        content = sphere_file(samples, 16_000, coding=PCM_SHORTEN)
        found, _, decoded = shorten_to_pcm(content[HEADER_BYTES:])
        assert found == num_channels
        assert np.array_equal(np.frombuffer(decoded, "<i2").reshape(samples.shape), samples)
        assert np.array_equal(decode(content).samples, samples)


def test_shifted_low_bits_are_restored() -> None:
    samples = (noise(9_000, 2) // 8 + 100) * 8
    audio = decode(sphere_file(samples, 16_000, coding=PCM_SHORTEN))
    assert np.array_equal(audio.samples, samples)


class Bits:
    """A Shorten stream, written number by number."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def number(self, value: int, width: int) -> None:
        """Its high part as zeros and a one, then its low bits."""
        low = f"{value & (1 << width) - 1:0{width}b}" if width else ""
        self.codes.append("0" * (value >> width) + "1" + low)

    def long(self, value: int) -> None:
        self.number(value.bit_length(), 2)
        self.number(value, value.bit_length())

    def stream(self) -> bytes:
        text = "".join(self.codes)
        padded = text + "0" * (-len(text) % 32)
        return b"ajkg\x02" + int(padded, 2).to_bytes(len(padded) // 8, "big")


def bomb(kind: int, num_blocks: int, block_frames: int) -> bytes:
    """A few bytes that decode to many samples."""
    bits = Bits()
    for value in (kind, 1, min(block_frames, 65_535), 0, 0, 0):
        bits.long(value)
    if kind == 8:  # which FFmpeg does not read, and which may grow
        bits.number(5, 2)
        bits.long(block_frames)
    for _ in range(num_blocks):
        bits.number(8, 2)
    bits.number(4, 2)
    return bits.stream()


# In a process of its own: the children of the one that runs the tests include whole training runs.
MEASURE_DECODING = """
import re, resource, sys
from pathlib import Path
from tasks.audio import AudioError, decode
try:
    print(len(decode(sys.stdin.buffer.read()).samples))
except AudioError:
    print(0)
print(*re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.timeout(120)  # instead of for hours
@pytest.mark.parametrize("count", ["1000", "10000000", "1000000000000"])
@pytest.mark.parametrize(
    ("coding", "stream"),
    [(PCM_SHORTEN, bomb(5, 300_000, 65_535)), (MU_LAW_SHORTEN, bomb(8, 63, 1 << 24))],
    ids=["pcm", "ulaw"],
)
def test_decompression_bombs_take_little_memory(coding: str, stream: bytes, count: str) -> None:
    header = sphere_file(CALL[:, :1], 8_000, coding=coding, fields={"sample_count": f"-i {count}"})
    done = subprocess.run(
        [sys.executable, "-c", MEASURE_DECODING],
        cwd=REPOSITORY,
        input=header[:HEADER_BYTES] + stream,
        capture_output=True,
        check=True,
    )
    num_frames, own_kb, decoder_kb = map(int, done.stdout.split())
    assert num_frames in (0, int(count))
    assert own_kb < 300_000
    assert decoder_kb < 1_500_000


@pytest.mark.timeout(120)
def test_a_decoder_that_runs_too_long_is_killed() -> None:
    bits = Bits()
    for value in (8, 1, 1, 0, 65_536, 0):  # a mean of 65,536 blocks for each block of one sample
        bits.long(value)
    for _ in range(300_000):
        for value, width in ((0, 2), (0, 3), (0, 1)):  # DIFF0, its width, its sample
            bits.number(value, width)
    bits.number(4, 2)
    header = sphere_file(CALL[:1, :1], 8_000, coding=MU_LAW_SHORTEN)[:HEADER_BYTES]
    with pytest.raises(AudioError, match="cannot be decoded"):
        decode(header + bits.stream())


def shortened_body(content: bytes, chance: random.Random) -> bytes:
    """Damage to the stream, mostly near its start, where it does most harm."""
    mutated = bytearray(content)
    within = chance.choice([16, 200, len(content) - HEADER_BYTES])
    for _ in range(chance.choice([1, 3, 30])):
        mutated[HEADER_BYTES + chance.randrange(within)] ^= 1 << chance.randrange(8)
    return bytes(mutated)


def header_bits(content: bytes, chance: random.Random) -> bytes:
    """Damage to the header."""
    mutated = bytearray(content)
    for _ in range(chance.choice([1, 2, 5])):
        mutated[chance.randrange(200)] ^= 1 << chance.randrange(8)
    return bytes(mutated)


def cut_short(content: bytes, chance: random.Random) -> bytes:
    """A truncated download."""
    return content[: chance.randrange(len(content))]


@pytest.mark.parametrize("mutate", [shortened_body, header_bits, cut_short])
@pytest.mark.parametrize("coding", PLAIN_OR_NOT)
def test_damage_is_an_audio_error_or_audio(
    coding: str, mutate: Callable[[bytes, random.Random], bytes]
) -> None:
    chance = random.Random(0)
    content = sphere_file(CALL[:2_000], 8_000, coding=coding)
    for _ in range(30):
        try:
            audio = decode(mutate(content, chance))
        except AudioError:
            continue
        assert isinstance(audio, Audio)
        assert audio.samples.ndim == 2
        assert audio.samples.dtype == np.int16


def test_ctrl_c_is_no_fault_of_the_file(tmp_path: Path) -> None:
    """A terminal sends it to the decoder's process too."""
    samples = call(500_000, 1)
    (tmp_path / "call.sph").write_bytes(sphere_file(samples, 8_000, coding=PCM_SHORTEN))
    program = [sys.executable, "-m", "tests.tasks.audio.decode_interrupted"]
    done = subprocess.run(
        [*program, str(tmp_path / "call.sph")], cwd=REPOSITORY, capture_output=True, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(len(samples))], done.stderr

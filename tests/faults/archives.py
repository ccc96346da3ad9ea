"""Seeded damage to archives whose members stay what they are: odd headers, sizes and names."""

import gzip
import io
import random
import struct
import tarfile
import zipfile
from tempfile import gettempdir

ESCAPED = f"{gettempdir()}/escaped"
BLOCK = tarfile.BLOCKSIZE
TAR_FIELDS = {"name": (0, 100), "size": (124, 12), "mtime": (136, 12), "type": (156, 1),
              "link": (157, 100), "magic": (257, 8), "prefix": (345, 155)}  # fmt: skip
TAR_VALUES = (
    *(b"\xff" * 12, b"\x80" + b"\xff" * 11, b"\x80" + b"\x7f" * 11, b"77777777777\0", b"-1", b" "),
    *(b"0", b"99999999999", b"caf\xe9.flac", b"../../escaped", b"/tmp/escaped", b"\n", b"", b"\0"),
    *(b"x", b"g", b"L", b"K", b"S", b"1", b"2", b"5", b"7", b"\x80" + b"\0" * 7 + b"\xff" * 4),
)
PAX = (
    *(
        {"size": "-1"},
        {"size": "9" * 30},
        {"size": "1e3"},
        {"path": "../../escaped"},
        {"mtime": "x"},
    ),
    *({"GNU.sparse.map": "0,1,x"}, {"GNU.sparse.size": "9" * 25, "GNU.sparse.major": "1"}),
    *({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "7"},),
    *({"hdrcharset": "BINARY", "path": "\udce9.flac"}, {"linkpath": "a" * 3000}, {"uid": "9" * 30}),
)
ZIP_VALUES = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF, 12, 14, 93, 99, 0x0801, 0x0808)


def with_odd_tar_header(data: bytes, chance: random.Random) -> bytes:
    """A field of a header has another value, and the checksum of the header is right."""
    headers = [at for at in range(0, len(data), BLOCK) if data[at + 257 : at + 262] == b"ustar"]
    at = chance.choice(headers)
    header = bytearray(data[at : at + BLOCK])
    for _ in range(chance.choice((1, 1, 2))):
        start, size = TAR_FIELDS[chance.choice(list(TAR_FIELDS))]
        header[start : start + size] = chance.choice(TAR_VALUES)[:size].ljust(size, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:at] + bytes(header) + data[at + BLOCK :]


def with_odd_pax_header(data: bytes, chance: random.Random) -> bytes:
    """A member with odd extended headers, at the end or the beginning."""
    member = tarfile.TarInfo("pax.flac")
    member.size = 5
    member.pax_headers = dict(chance.choice(PAX))
    blocks = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + b"audio".ljust(BLOCK)
    if chance.random() < 0.5:
        return blocks + data
    return data.rstrip(b"\0").ljust(-len(data.rstrip(b"\0")) % BLOCK, b"\0") + blocks + bytes(1024)


def with_odd_zip_fields(data: bytes, chance: random.Random) -> bytes:
    """Fields of a local header, a central one or the end of the directory have other values."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        signature = chance.choice((b"PK\x03\x04", b"PK\x01\x02", b"PK\x01\x02", b"PK\x05\x06"))
        starts = [at for at in range(len(data)) if data.startswith(signature, at)]
        at = chance.choice(starts) + chance.randrange(4, 46)
        size = chance.choice((2, 4))
        value = chance.choice(ZIP_VALUES) & (256**size - 1)
        if at + size <= len(data):
            struct.pack_into("<H" if size == 2 else "<I", damaged, at, value)
    return bytes(damaged)


def with_odd_zip_name(data: bytes, chance: random.Random) -> bytes:
    """A further member with an odd name, and the flag of UTF-8 on bytes that are not."""
    buffer = io.BytesIO(data)
    odd = chance.choice(("a\0b", "../../escaped", ESCAPED, "caf\xe9" * 5, "\n", "x" * 5_000))
    with zipfile.ZipFile(buffer, "a", chance.choice((0, 8, 12, 14))) as archive:
        archive.writestr(odd, b"a" * chance.choice((0, 5, 100_000)))
    return buffer.getvalue().replace("\xe9".encode(), chance.choice((b"\xff\xfe", b"\xc3\xa9")))


def with_odd_gzip(data: bytes, chance: random.Random) -> bytes:
    """Other flags, a wrong checksum or length, or something after the end."""
    damaged = bytearray(gzip.compress(data, 1, mtime=0))
    kind = chance.randrange(4)
    if kind == 0:
        damaged[chance.choice((2, 3, 3, 3, 8, 9))] = chance.randrange(256)
    elif kind == 1:
        damaged[-chance.randint(1, 8)] ^= 1 << chance.randrange(8)
    elif kind == 2:
        damaged += chance.choice(
            (b"\0" * 9, b"x", bytes(damaged), bytes(damaged)[:15], b"\x1f\x8b")
        )
    else:
        del damaged[-chance.randint(1, len(damaged) - 3) :]
    return bytes(damaged)


def damaged_archive(name: str, data: bytes, chance: random.Random) -> bytes:
    """An archive, plain or compressed by its name, with odd headers."""
    if name.endswith(".zip"):
        return chance.choice((with_odd_zip_fields, with_odd_zip_name))(data, chance)
    if not name.endswith(".gz"):
        return chance.choice((with_odd_tar_header, with_odd_pax_header))(data, chance)
    plain = gzip.decompress(data)
    if not name.endswith(".tar.gz") or chance.random() < 0.4:
        return with_odd_gzip(plain, chance)
    return gzip.compress(damaged_archive("x.tar", plain, chance), 1, mtime=0)

"""Seeded damage to files: by a disk or a network, and by values that no parser expects."""

import io
import json
import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.faults.archives import damaged_archive

ARCHIVES = (".tar", ".gz", ".zip")
LONG = 100_000  # characters at which quadratic time is seconds
JSON_VALUES = (
    *("1e308", "-1e308", "1e999", "NaN", "Infinity", "-Infinity", "-1", "0", "true", "null"),
    *('""', '"\\ud800"', '"a\\udcff"', '"\\u0000"', '"\u2028"', "[]", "{}", "[[1]]", '{"a": {}}'),
    *("9" * 400, "9" * 5_000, "0.1" + "0" * 400 + "e308", "[" * 500 + "]" * 500, '"unclosed'),
    *("[" * LONG, '{"a":' * 2_000 + "1" + "}" * 2_000, '"' + "a" * LONG + '"', "1" * 19),
)
TEXTS = (
    *("1e999", "-1", "nan", "inf", "9" * 400, "0" * 9, "1" * 5_000, ".", "1_0", "١٢", "1e308", ""),
    *("\0", "\x85", "\u2028", "\ufeff", "\ufffd", "\x1b[2J", "é" * 9, "..", "../../x", "/", "%s"),
    *("a" * 300, "[x", "x]", "((", "))", "<unk>", "{", "}", "(1)", "-", "--", "/", "''", '"', "#"),
)
YAML_VALUES = (
    *("2001-99-99", "2001-02-30T25:61:00Z", "!!timestamp x", "!!int x", "!!float 1e", "!!binary é"),
    *(
        "!!python/name:os.system",
        "&a [*a]",
        "*missing",
        "? [a]",
        "{a: b}",
        "[1, 2]",
        "1e999",
        ".nan",
    ),
    *("!!set {a, b}", "!!omap [a]", "!!pairs [a]", "<<: 5", "0x", "190:20:30", "'", "|", "- - -"),
    *("9" * 5_000, "[" * 3_000, "0o9", "=", "~", "true", "-0", "!!bool x", "2001-01-01", "!!map x"),
)
REPEATED = ("[", "]", "(", ")", "<", ">", "{", "}", "-", "/", " ", "'", "(%", "\\", "1", ".", ",")
ENDINGS = ("[", "(a-1", "]", "{x", "x/y]", "-", "(", "1.5", "\t")
TYPES = (
    *(
        pa.int64(),
        pa.int8(),
        pa.float16(),
        pa.float64(),
        pa.bool_(),
        pa.binary(),
        pa.large_string(),
    ),
    *(pa.list_(pa.string()), pa.struct([("a", pa.string())]), pa.null(), pa.decimal128(38, 4)),
    *(pa.timestamp("s"), pa.timestamp("ns", "Mars/Phobos"), pa.date64(), pa.time64("ns")),
    *(pa.duration("s"), pa.dictionary(pa.int8(), pa.string()), pa.string_view(), pa.uint64()),
)

Damage = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 24)):
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def with_another_header(data: bytes, chance: random.Random) -> bytes:
    num_bytes = chance.randint(1, 64)
    return chance.randbytes(num_bytes) + data[num_bytes:]


def of_another_kind(data: bytes, chance: random.Random) -> bytes:
    kinds = (b"<html>not found</html>", b"fLaC", b"NIST_1A\n   1024\n", b"\xff\xfe", b"{}\n", b"")
    return chance.choice(kinds) + data[: chance.choice((0, 100))]


def repeated(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + data[chance.randrange(len(data)) :]


def with_inserted_bytes(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    new = chance.choice((b"\xff", b"\x00", b"\xed\xa0\x80", b"\xf5", b"\r", b"\n", b"\xc3"))
    return data[:at] + new * chance.choice((1, 1, 5)) + data[at + chance.choice((0, 1)) :]


DAMAGES: tuple[Damage, ...] = (
    flipped,
    truncated,
    with_another_header,
    of_another_kind,
    repeated,
    with_inserted_bytes,
)
"""What happens to bytes without regard to their meaning; the data may not be empty."""


def odd_text(chance: random.Random) -> str:
    """A text that a field should not have, in few cases a very long one."""
    if chance.random() < 0.95:
        return chance.choice(TEXTS)
    return very_long(chance)


def very_long(chance: random.Random) -> str:
    """A text at which a pattern needs seconds if its time is quadratic."""
    return chance.choice(REPEATED) * LONG + chance.choice(ENDINGS)


def with_odd_fields(data: bytes, chance: random.Random) -> bytes:
    """Lines of text with other fields: replaced, missing, doubled, swapped, very long."""
    lines = data.decode("utf-8", errors="replace").split("\n")
    at = chance.randrange(len(lines))
    is_number = chance.random() < 0.2
    parts = re.split(r"([^0-9.e]+)" if is_number else r"([\t|, ]+)", lines[at])
    field = chance.randrange(0, len(parts), 2)
    kind = 0 if is_number else chance.randrange(6)
    if kind < 3:
        parts[field] = odd_text(chance)
    elif kind == 3:
        parts[field] += odd_text(chance)
    elif kind == 4:
        parts[field : field + 2] = []
    else:
        parts += parts[field:]
    if chance.random() < 0.1:
        parts.append(f" {very_long(chance)}")
    lines[at] = "".join(parts)
    if chance.random() < 0.2:
        lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    if chance.random() < 0.1:
        chance.shuffle(lines)
    end = chance.choice((*("\n",) * 20, "\r\n", "\r"))
    return end.join(lines).encode(chance.choice((*("utf-8",) * 20, "utf-16", "utf-8-sig")))


def with_odd_json(data: bytes, chance: random.Random) -> bytes:
    """JSON, or one line of JSON Lines, with a value of another type or size, or without it."""
    lines = data.split(b"\n")
    at = chance.choice([number for number, line in enumerate(lines) if line.strip()])
    mark = "@odd@"
    holders = list(_containers(value := json.loads(lines[at])))
    holder = chance.choice(holders)
    if isinstance(holder, dict):
        key: Any = chance.choice(list(holder) or ["new"])
    else:
        key = chance.randrange(len(holder) or 1)
        holder += [None] * (not holder)
    kind = chance.random()
    if kind < 0.1:
        del holder[key]
    elif kind < 0.2 and isinstance(holder, dict):
        holder["again"] = mark  # becomes a second value of the same key
    else:
        holder[key] = mark
    odd = chance.choice(JSON_VALUES)
    lines[at] = (
        json.dumps(value)
        .replace('"again": "@odd@"', f"{json.dumps(key)}: {odd}")
        .replace(f'"{mark}"', odd)
        .encode()
    )
    return b"\n".join(lines)


def _containers(value: Any) -> Sequence[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(one for part in inner for one in _containers(part))]


def with_odd_xml(data: bytes, chance: random.Random) -> bytes:
    """XML with other attributes and texts, deep elements, entities or another encoding."""
    document = data.decode("latin-1")
    spots = list(re.finditer(r'"([^"]*)"|>([^<\n]+)<|<(/?[\w:]+)', document))
    spot = chance.choice(spots)
    group = spot.lastindex or 0
    odd = odd_text(chance).encode("ascii", "xmlcharrefreplace").decode()
    deep = "<a>" * 20_000
    doctype = '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]>'
    new = chance.choice((odd, odd, odd, "&b;", "&#xD800;", "", "x" * LONG))
    kind = chance.randrange(8)
    if kind == 0:
        new = spot[group] + chance.choice((deep + "</a>" * 20_000, deep, doctype, "<?x?>"))
    elif kind == 1:
        known = ("utf-16", "UTF-7", "cp037", "rot13", "idna", "x", "big5", "utf-8", "hex")
        return document.replace("ISO-8859-1", chance.choice(known)).encode("latin-1")
    elif kind == 2:
        return (document[: spot.start()] + document[spot.end() :]).encode("latin-1")
    return (document[: spot.start(group)] + new + document[spot.end(group) :]).encode(
        "latin-1", "xmlcharrefreplace"
    )


def with_odd_columns(data: bytes, chance: random.Random) -> bytes:
    """A Parquet file with a column of another type, name or number, or of odd values."""
    table = pq.read_table(io.BytesIO(data))
    at = chance.randrange(table.num_columns)
    name, kind = table.column_names[at], chance.randrange(6)
    if kind == 0:
        table = table.drop_columns([name])
    elif kind == 1:
        table = table.append_column(name, table.column(at))
    elif kind == 2:
        names = [odd_text(chance)[:99] if one == name else one for one in table.column_names]
        table = table.rename_columns(names)
    else:
        table = table.set_column(at, name, _odd_column(table.column(at), chance))
    file = io.BytesIO()
    pq.write_table(table, file, compression=chance.choice(("none", "zstd", "snappy", "gzip")))
    return file.getvalue()


def _odd_column(column: pa.ChunkedArray, chance: random.Random) -> pa.Array | pa.ChunkedArray:
    """Bytes that are not UTF-8 in a column of texts, extreme numbers, or another type."""
    texts = [b"a", chance.choice((b"\xff", b"\xed\xa0\x80", b"", b"\0", b"x" * 70_000)), b"c"]
    data = pa.array(texts[: len(column)], pa.binary())
    if chance.random() < 0.3:
        return pa.Array.from_buffers(pa.string(), len(data), data.buffers())
    if chance.random() < 0.3:
        odd = chance.choice((float("inf"), float("nan"), -1.0, 1e308, 2.0**63))
        return pa.array([odd, None, 1.0][: len(column)], pa.float64())
    kind = chance.choice(TYPES)
    try:
        return column.cast(kind, safe=False)
    except pa.ArrowException:
        return pa.nulls(len(column), kind)


def with_odd_yaml(data: bytes, chance: random.Random) -> bytes:
    """A configuration with a value of another type."""
    lines = data.decode().split("\n")
    at = chance.choice([number for number, line in enumerate(lines) if ":" in line])
    key, _, _ = lines[at].partition(":")
    odd = chance.choice(YAML_VALUES) if chance.random() < 0.8 else odd_text(chance)
    lines[at] = chance.choice((f"{key}: {odd}", f"{key}: {odd}", f"{odd}: 1", f"{key}:\n  - {odd}"))
    return "\n".join(lines).encode()


STRUCTURED: dict[str, Damage] = {
    ".json": with_odd_json,
    ".jsonl": with_odd_json,
    ".xml": with_odd_xml,
    ".parquet": with_odd_columns,
    ".yaml": with_odd_yaml,
}
"""By suffix, what keeps the format of a file and changes its values; other files are text."""


def mutated(name: str, data: bytes, chance: random.Random) -> bytes:
    """A file with one to three mutations, the first one mostly structured."""
    damage = STRUCTURED.get(PurePosixPath(name).suffix, with_odd_fields)
    if name.endswith(ARCHIVES):
        damage = partial(damaged_archive, name)
    found = damage(data, chance) if chance.random() < 0.7 else chance.choice(DAMAGES)(data, chance)
    for _ in range(chance.choice((*(0,) * 8, 1, 2))):
        if found:
            found = chance.choice((*DAMAGES, with_inserted_bytes))(found, chance)
    return found

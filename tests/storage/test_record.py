"""Records: no damage goes unnoticed, and older ones can be read."""

import json

import pytest
from pydantic import TypeAdapter

from storage.errors import IntegrityError
from storage.fingerprint import digest
from storage.receipt import Counts, FileRef, Receipt
from storage.record import parse, sealed
from storage.shard import ShardKey

RECEIPT = Receipt(
    stage="label",
    fingerprint="f00d",
    key=ShardKey("corpus", "train", 7),
    source_digest="a" * 64,
    output=FileRef(path="label/x.parquet", sha256="0" * 64, size_bytes=1),
    counts=Counts(rows_in=2, rows_out=1, dropped={"empty": 1}),
    hours=1.5e-05,
    recorded={"device": "größer \u2028", "batch_size": 4},
)


def test_a_record_is_what_was_stored() -> None:
    assert Receipt.parse(RECEIPT.encode(), "x") == RECEIPT


def test_no_flipped_bit_makes_another_record() -> None:
    data = RECEIPT.encode()
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(IntegrityError, match=r"^x is damaged: .*") as raised:
            Receipt.parse(bytes(damaged), "x")
        assert raised.value.path == "x"


@pytest.mark.parametrize("start", range(0, 400, 40))
def test_no_missing_part_makes_another_record(start: int) -> None:
    data = RECEIPT.encode()
    for end in range(start + 1, len(data) + 1):
        with pytest.raises(IntegrityError):
            Receipt.parse(data[:start] + data[end:], "x")


def test_the_checksum_is_that_of_the_rest() -> None:
    data = sealed(b'{\n "a": 1\n}')
    assert json.loads(data) == {
        "a": 1,
        "checksum": "4c7b92d70b8f46817ada0eac124a21649225537837d9925d84548dfea748c20e",
    }


def test_older_records_have_no_checksum() -> None:
    assert Receipt.parse(RECEIPT.model_dump_json(indent=1).encode(), "x") == RECEIPT


def test_the_checksum_of_older_manifests_covers_the_content() -> None:
    value = {"b": 1.0, "a": "ä"}
    older = json.dumps({**value, "checksum": digest(value)}, indent=1).encode()
    assert parse(older, "x", TypeAdapter(dict[str, object]).validate_json) == value
    with pytest.raises(IntegrityError, match="its checksum is"):
        parse(older.replace(b"1.0", b"2.0"), "x", TypeAdapter(dict[str, object]).validate_json)

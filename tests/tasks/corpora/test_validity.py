"""A segment has values that a plan can hold; a row without them is rejected, and no other row."""

import json
import re
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest

from storage.outcome import quarantined
from tasks.corpora.base import (
    InvalidSegmentError,
    Member,
    Segment,
    Unplanned,
    checked_segment,
    replaced_up_to,
)
from tasks.corpora.public.tedlium import TEDLIUM
from tasks.corpora.public.tedlium import clean as clean_tedlium
from tasks.corpora.public.telephone.fisher import clean as clean_fisher
from tasks.corpora.public.telephone.hub5_2000 import clean as clean_hub5
from tasks.corpora.public.telephone.switchboard import clean as clean_switchboard
from tasks.corpora.validity import MAX_S, shown
from tests.faults.local_sources import LOCAL_SOURCES
from tests.faults.parsers import InMemory
from tests.faults.sources import SOURCES, gigaspeech, parquet

AUDIO = Member("raw/x.tar", "x.flac", 0, 9)
VALID: dict[str, Any] = {
    "id": "a",
    "split": "train",
    "recording_id": "tape",
    "speaker_id": None,
    "audio": AUDIO,
    "raw_text": "",
}
NOT_UTF8 = "caf\udce9"
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": NOT_UTF8}, "malformed_text"),
        ({"id": ""}, "no_id"),
        ({"id": 5}, "malformed_text"),
        ({"id": None}, "malformed_text"),
        ({"recording_id": ""}, "no_id"),
        ({"recording_id": None}, "malformed_text"),
        ({"speaker_id": 5}, "malformed_text"),
        ({"raw_text": NOT_UTF8}, "malformed_text"),
        ({"raw_text": None}, "malformed_text"),
        ({"raw_text": DEEP}, "malformed_text"),
        ({"raw_text": 10**5_000}, "malformed_text"),
        ({"start_s": 1e308}, "malformed_times"),
        ({"start_s": float("nan")}, "malformed_times"),
        ({"start_s": -0.1}, "malformed_times"),
        ({"start_s": None}, "malformed_times"),
        ({"start_s": True}, "malformed_times"),
        ({"start_s": "1"}, "malformed_times"),
        ({"end_s": float("inf")}, "malformed_times"),
        ({"end_s": MAX_S + 1}, "malformed_times"),
        ({"end_s": 10**400}, "malformed_times"),
        ({"start_s": 1.0, "end_s": 1.0}, "reversed_times"),
        ({"pieces_s": ((0.0, 2.0), (1.0, 3.0))}, "reversed_times"),
        ({"pieces_s": ((0.0, 2.0), (2.0, 2.0))}, "reversed_times"),
        ({"pieces_s": ((0.0, 2.0), (2.0, 1e999))}, "malformed_times"),
    ],
)
def test_invalid_values_are_rejected_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    values = {**VALID, **changes}
    with pytest.raises(InvalidSegmentError) as raised:
        Segment(**values)
    assert len(str(raised.value).splitlines()) == 1
    assert copy(raised.value).row == raised.value.row  # by __reduce__, as between processes
    item = checked_segment(**values)
    assert isinstance(item, Unplanned)
    assert (item.split, item.row.outcome, item.row.reason) == ("train", "quarantined", reason)
    assert item.row.id
    assert f"{item.row.id}{item.row.detail}".encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"speaker_id": ""},
        {"raw_text": "\0 \N{REPLACEMENT CHARACTER} \u2028"},
        {"start_s": MAX_S - 1, "end_s": MAX_S},
        {"pieces_s": ((0.0, 2.0), (2.0, 3.0))},
    ],
)
def test_valid_values_are_kept(changes: dict[str, Any]) -> None:
    values = {**VALID, **changes}
    assert checked_segment(**values) == Segment(**values)


def test_what_utf8_cannot_encode_is_escaped_in_rejections() -> None:
    item = Unplanned(split="train", row=quarantined(NOT_UTF8, "no_audio", "\ud800 é"))
    assert item.row == quarantined("caf\\udce9", "no_audio", "\\ud800 é")


def test_a_value_is_shown_whatever_its_size() -> None:
    assert shown(DEEP) == "a list that is too large"
    assert shown(10**5_000) == "a int that is too large"
    assert shown("a" * 200) == "'" + "a" * 79


def in_brief(name: str, **files: bytes) -> list[tuple[str, str | None]]:
    """Id of each row, and the reason of each that is rejected."""
    source = (SOURCES | LOCAL_SOURCES)[name]
    [path] = source.annotations
    audio = dict.fromkeys(source.audio, b"audio")
    items = source.corpus.read(InMemory({**audio, path: files["data"]}))
    return [
        (item.id, None) if isinstance(item, Segment) else (item.row.id, item.row.reason)
        for item in items
    ]


def test_one_bad_json_line_leaves_the_others() -> None:
    rows = [
        '{"wav": "a/1.flac", "said": "x", "key": "a"}',
        '{"wav": "a/1.flac", "said": "x", "key": "b", "from": 1e308}',
        '{"wav": "a/1.flac", "said": "\\ud800", "key": "c"}',
        '{"wav": "a/1.flac", "said": "x", "key": "\\udcff"}',
        '{"wav": "a/1.flac", "said": "x", "key": "d", "who": "\\ud800"}',
        '{"wav": "a/1.flac", "said": "x", "key": "e", "who": %s}' % ("9" * 5_000),
        '{"wav": "a/1.flac", "said": "x", "key": "f"}',
    ]
    assert in_brief("local json lines", data="\n".join(rows).encode()) == [
        ("a", None),
        ("b", "malformed_times"),
        ("c", "malformed_text"),
        ("\\udcff", "malformed_text"),
        ("d", "malformed_text"),
        ("lists/train:6", "malformed_line"),
        ("f", None),
    ]


def test_one_bad_recording_or_segment_of_gigaspeech_leaves_the_others() -> None:
    metadata = json.loads(gigaspeech()["GigaSpeech.json"])
    [audio] = metadata["audios"]
    first, *rest = audio["segments"]
    bad = [
        {**first, "speaker": 5},
        {**first, "subsets": 7},
        {**first, "subsets": [["{L}"], {}, "{L}"], "end_time": 1e308},
        "no segment",
    ]
    metadata["audios"] = [{"aid": "POD1"}, [], {**audio, "segments": [*bad, first, *rest]}]
    found = in_brief("gigaspeech release", data=json.dumps(metadata).encode())
    assert found == [
        ("GigaSpeech:1", "malformed_line"),
        ("GigaSpeech:2", "malformed_line"),
        (first["sid"], "malformed_text"),
        ("GigaSpeech:4", "malformed_line"),
        ("GigaSpeech:5", "malformed_line"),
        ("GigaSpeech:6", "malformed_line"),
        *((one["sid"], None) for one in (first, *rest)),
    ]


def test_one_endless_time_of_voxpopuli_leaves_the_others() -> None:
    table = SOURCES["voxpopuli"].annotations["asr_en.tsv"].replace(b"4e1", b"1e999")
    reasons = [reason for _, reason in in_brief("voxpopuli", data=table)]
    assert reasons == [None, "malformed_times", "not_in_a_split"]


def test_one_text_that_is_not_utf8_in_parquet_leaves_the_others() -> None:
    rows = [
        {"segment_id": name, "speaker": "N/A", "text": f"text {name}", "audio_id": "POD1",
         "begin_time": 1.0, "end_time": 2.0}
        for name in ("first", "other", "third")
    ]  # fmt: skip
    data = parquet(rows).replace(b"text other", b"text \xff\xfeher")
    assert in_brief("gigaspeech hub", data=data) == [
        ("first", None),
        ("other", "malformed_text"),
        ("third", None),
    ]


def test_times_of_many_digits_are_malformed_lines() -> None:
    line = f"Talk 1 Talk {'9' * 400} {'9' * 401} <o> text\n".encode()
    files = {"data/stm/Talk.stm": line, "data/sph/Talk.sph": b"audio"}
    [item] = TEDLIUM.read(InMemory(files))
    assert isinstance(item, Unplanned)
    assert item.row.reason == "malformed_line"


@pytest.mark.parametrize(
    ("clean", "text"),
    [
        (clean_fisher, "["),
        (clean_fisher, "[x"),
        (clean_hub5, "<"),
        (clean_hub5, "(%"),
        (clean_switchboard, "{"),
        (clean_switchboard, "/"),
        (clean_tedlium, " "),
        (clean_tedlium, "(-1"),
    ],
)
def test_repeated_brackets_take_linear_time(clean: Callable[[str], object], text: str) -> None:
    """Two million characters, which took minutes to hours in quadratic time."""
    clean(text * 1_000_000 + "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a] b [c", " b [c"),
        ("[[a]] b", "] b"),
        ("a] b", "a] b"),
        ("[a", "[a"),
        ("", ""),
    ],
)
def test_patterns_are_replaced_up_to_the_last_end(text: str, expected: str) -> None:

    pattern = re.compile(r"\[[^\]]*\]")
    assert replaced_up_to("]", pattern, "", text) == pattern.sub("", text) == expected

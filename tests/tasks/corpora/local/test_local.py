"""Local corpora, in each supported format."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import CorpusSettings
from storage.errors import ShardError, UserError
from storage.outcome import dropped, quarantined
from tasks.audio import decode
from tasks.corpora.base import Corpus, Segment, Unplanned
from tasks.corpora.local.corpus import local_corpus
from tasks.corpora.sources import Delivery, HubFiles
from tests.builders import flac, noise

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], Any]]

FIRST, SECOND = noise(16_000, seed=1), noise(24_000, seed=2)
FOLDER = {"train": {"files": ["train/*.flac"]}}
LINES = {"train": {"files": ["lists/train.jsonl"]}}
PARQUET = {"train": {"files": ["data/train-*.parquet"]}}


def corpus(splits: dict[str, Any] = FOLDER, **local: Any) -> Corpus:
    return local_corpus("own", CorpusSettings(local={"splits": splits, **local}))


def lines(*rows: object) -> bytes:
    return "".join(
        (row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows
    ).encode()


def parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def in_brief(item: Segment | Unplanned) -> object:
    if isinstance(item, Unplanned):
        return item.row
    return item.id, item.recording_id, item.speaker_id, item.start_s, item.end_s, item.raw_text


def test_audio_files_have_their_text_beside_them(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(
        corpus({**FOLDER, "test": {"files": ["test/*.flac"], "role": "test"}}),
        {
            "train/ann/1.flac": flac(FIRST),
            "train/ann/1.txt": "\ufeffA ferry  leaves.\n".encode(),
            "train/ann/2.flac": flac(SECOND),
            "train/ann/3.txt": b"whose audio is missing",
            "train/ann/4.flac": flac(SECOND),
            "train/ann/4.txt": b"\xff\xfe",
            "train/notes.md": b"not of the corpus",
            "test/5.flac": flac(SECOND),
            "test/5.txt": b"",
        },
    )
    assert [in_brief(item) for item in items] == [
        ("train/ann/1", "train/ann/1", None, 0.0, None, "A ferry  leaves."),
        quarantined("train/ann/2", "no_text", "there is no train/ann/2.txt"),
        quarantined("train/ann/4", "malformed_line", "\ufffd\ufffd"),
        quarantined("train/ann/3", "no_audio", "beside train/ann/3.txt"),
        ("test/5", "test/5", None, 0.0, None, ""),
    ]
    assert [item.split for item in items] == ["train"] * 4 + ["test"]
    assert np.array_equal(decode(raw.audio(items[0].audio)).samples, FIRST)


def test_untranscribed_audio_needs_text_null(
    read_corpus: ReadCorpus,
) -> None:
    items, _ = read_corpus(
        corpus({"train": {"files": ["*.FLAC", "*.flac"]}}, columns={"text": None}),
        {"a.flac": flac(FIRST), "b.FLAC": flac(SECOND), "b.txt": b"not asked for"},
    )
    assert [in_brief(item)[0] for item in items] == ["a", "b"]
    assert {item.raw_text for item in items} == {""}


def test_a_file_in_two_splits_belongs_to_the_first(read_corpus: ReadCorpus) -> None:
    items, _ = read_corpus(
        corpus({"test": {"files": ["held/*"], "role": "test"}, "train": {"files": ["*"]}}),
        {"held/1.flac": flac(FIRST), "held/1.txt": b"x", "2.flac": flac(FIRST), "2.txt": b"y"},
    )
    assert {(item.split, item.id) for item in items} == {("test", "held/1"), ("train", "2")}


COLUMNS = {
    "audio": "wav", "text": "said", "id": "key", "speaker": "who", "recording": "tape",
    "start_s": "from", "end_s": "to", "duration_s": "lasts",
}  # fmt: skip


def test_a_json_line_is_a_segment_or_is_rejected_with_a_reason(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(
        corpus(LINES, columns=COLUMNS),
        {
            "audio/1.flac": flac(FIRST),
            "lists/2.FLAC": flac(SECOND),
            "lists/train.jsonl": lines(
                {"key": "a", "wav": "../audio/1.flac", "said": "one", "who": 7, "tape": "t"},
                {"key": "b", "wav": "2.FLAC", "said": "two", "from": "0.25", "lasts": 1},
                {"key": "c", "wav": "audio/1.flac", "said": "", "from": 0.5, "to": 0.75},
                "",
                "{broken",
                "[1]",
                {"wav": "2.FLAC", "said": "who am I"},
                {"key": "d", "wav": "../../etc/1.flac", "said": "x"},
                {"key": "e", "wav": "/audio/1.flac", "said": "x"},
                {"key": "f", "wav": "https://example.org/1.flac", "said": "x"},
                {"key": "g", "wav": "9.flac", "said": "x"},
                {"key": "h", "wav": None, "said": "x"},
                {"key": "i", "wav": "2.FLAC"},
                {"key": "j", "wav": "2.FLAC", "said": "x", "from": 0.5, "to": 0.5},
                {"key": "k", "wav": "2.FLAC", "said": "x", "from": -1},
                {"key": "l", "wav": "2.FLAC", "said": "x", "to": "noon"},
                {"key": "m", "wav": "2.FLAC", "said": "x", "to": True},
                {"key": "n", "wav": "train.jsonl", "said": "x"},
            ),
        },
    )
    assert [in_brief(item) for item in items] == [
        ("a", "t", "7", 0.0, None, "one"),
        ("b", "lists/2", None, 0.25, 1.25, "two"),
        ("c", "audio/1", None, 0.5, 0.75, ""),
        quarantined("lists/train:5", "malformed_line", "{broken"),
        quarantined("lists/train:6", "malformed_line", "[1]"),
        quarantined("lists/train:7", "no_id", "key of lists/train:7"),
        quarantined("d", "outside_the_mirror", "../../etc/1.flac"),
        quarantined("e", "outside_the_mirror", "/audio/1.flac"),
        quarantined("f", "outside_the_mirror", "https://example.org/1.flac"),
        quarantined("g", "no_audio", "9.flac"),
        quarantined("h", "no_audio", "None is not a path"),
        quarantined("i", "no_text", "said is None"),
        quarantined("j", "reversed_times", "0.5 to 0.5 s"),
        quarantined("k", "malformed_times", "-1 is not a time in seconds"),
        quarantined("l", "malformed_times", "'noon' is not a time in seconds"),
        quarantined("m", "malformed_times", "True is not a time in seconds"),
        quarantined("n", "no_audio", "train.jsonl"),
    ]
    assert np.array_equal(decode(raw.audio(items[1].audio)).samples, SECOND)


def test_rows_without_an_id_are_identified_by_position(read_corpus: ReadCorpus) -> None:
    files = {"1.flac": flac(FIRST)}
    row = {"audio": "1.flac", "text": "one", "seconds": 1.0}
    items, _ = read_corpus(
        corpus({"train": {"files": ["*.jsonl"]}}, columns={"duration_s": "seconds"}),
        {**files, "a/x.jsonl": lines({**row, "audio": "../1.flac"}), "b.jsonl": lines(row, row)},
    )
    assert [item.id for item in items] == ["a/x:1", "b:1", "b:2"]
    assert {(item.end_s, item.audio.duration_s) for item in items} == {(None, 1.0)}


def test_parquet_audio_is_bytes_or_a_datasets_struct(
    read_corpus: ReadCorpus,
) -> None:
    plain = parquet(sound=[flac(FIRST), flac(SECOND)], text=["one", None], spk=["ann", ""])
    structs = parquet(
        sound=[{"bytes": flac(SECOND), "path": "x.flac"}], text=["three"], spk=["bob"]
    )
    items, raw = read_corpus(
        corpus(PARQUET, columns={"audio": "sound", "speaker": "spk"}),
        {"data/train-0.parquet": plain, "data/train-1.parquet": structs},
    )
    assert [in_brief(item) for item in items] == [
        ("data/train-0:0", "data/train-0:0", "ann", 0.0, None, "one"),
        quarantined("data/train-0:1", "no_text", "text is None"),
        ("data/train-1:0", "data/train-1:0", "bob", 0.0, None, "three"),
    ]
    assert np.array_equal(decode(raw.audio(items[0].audio)).samples, FIRST)
    assert np.array_equal(decode(raw.audio(items[2].audio)).samples, SECOND)


def test_parquet_may_refer_to_files_and_have_no_text(read_corpus: ReadCorpus) -> None:
    named = {
        "data/train-0.parquet": parquet(audio=["a.flac", "b.flac"]),
        "data/a.flac": flac(FIRST),
    }
    items, _ = read_corpus(corpus(PARQUET, columns={"text": None}), named)
    assert [in_brief(item) for item in items] == [
        ("data/train-0:0", "data/a", None, 0.0, None, ""),
        quarantined("data/train-0:1", "no_audio", "b.flac"),
    ]
    only_audio = {"data/train-0.parquet": parquet(audio=[flac(FIRST)])}
    [item], _ = read_corpus(corpus(PARQUET, columns={"text": None}), only_audio)
    assert item.raw_text == ""


def lists_with_one_bad_text() -> pa.Array:
    """Three lists of one text each; the second text is not UTF-8."""
    data = pa.array([b"a", b"\xff", b"c"])
    text = pa.Array.from_buffers(pa.string(), 3, data.buffers())
    return pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), text)


BEYOND_YEAR_9999 = pa.array([0, 2**31 - 1, 1], pa.int32()).cast(pa.date32())


@pytest.mark.parametrize("column", ["id", "speaker", "recording", "start_s"])
@pytest.mark.parametrize("bad", ["date", "list"])
def test_one_value_that_cannot_be_converted_rejects_its_row(
    read_corpus: ReadCorpus, column: str, bad: str
) -> None:
    values = BEYOND_YEAR_9999 if bad == "date" else lists_with_one_bad_text()
    data = parquet(audio=[flac(FIRST)] * 3, text=["x"] * 3, value=values)
    own = corpus(PARQUET, columns={column: "value"})
    items, _ = read_corpus(own, {"data/train-0.parquet": data})
    [row] = [
        item.row for item in items
        if isinstance(item, Unplanned) and item.row.reason == "malformed_value"
    ]  # fmt: skip
    assert (row.id, len(items)) == ("data/train-0:1", 3)
    assert row.detail.startswith("value: ")


def test_a_time_zone_that_nobody_knows_rejects_the_rows_with_a_time(
    read_corpus: ReadCorpus,
) -> None:
    times = pa.array([0, None], pa.timestamp("us", tz="Foo/Bar"))
    data = parquet(audio=[flac(FIRST)] * 2, text=["x"] * 2, spoken=times)
    own = corpus(PARQUET, columns={"recording": "spoken"})
    bad, good = read_corpus(own, {"data/train-0.parquet": data})[0]
    assert (bad.row.id, bad.row.reason) == ("data/train-0:0", "malformed_value")
    assert "Foo/Bar" in bad.row.detail
    assert good.id == "data/train-0:1"


@pytest.mark.parametrize(
    ("data", "reported"),
    [
        (parquet(sound=[b""], text=["x"]), "has no column 'audio'; it has sound, text"),
        (parquet(audio=[b""]), "has no column 'text'; it has audio"),
        (b"no Parquet", "not a complete Parquet file"),
    ],
)
def test_a_table_that_differs_from_its_description_is_reported(
    read_corpus: ReadCorpus, data: bytes, reported: str
) -> None:
    with pytest.raises(ShardError, match=reported):
        read_corpus(corpus(PARQUET), {"data/train-0.parquet": data})


def test_only_readable_files_are_hashed(read_corpus: ReadCorpus) -> None:
    _, raw = read_corpus(
        corpus(LINES),
        {"lists/train.jsonl": b"", "wav/1.flac": b"", "wav/1.txt": b"", "movie.mkv": b""},
    )
    assert [member.name for member in raw.members()] == ["lists/train.jsonl", "wav/1.flac"]


def test_a_data_set_of_the_hub_needs_no_mirror() -> None:
    settings = {"splits": PARQUET, "hub": "someone/speech"}
    pinned = local_corpus("own", CorpusSettings(local=settings, revision="a" * 40))
    [source] = pinned.sources
    assert isinstance(source, HubFiles)
    assert (source.repo, source.revision) == ("someone/speech", "a" * 40)
    assert source.patterns == {"train": ("data/train-*.parquet",)}
    assert pinned.self_contained
    assert pinned.revision != local_corpus("own", CorpusSettings(local=settings)).revision


def test_the_corpus_has_the_configured_values() -> None:
    own = corpus(
        {"a": {"files": ["a/*"]}, "b": {"files": ["b/*"]}, "t": {"files": ["t"], "role": "test"}},
        title="Our calls",
        hours=12,
        licence={"name": "ours", "commercial_use": False},
    )
    [source] = own.sources
    assert isinstance(source, Delivery)
    assert [one.pattern for one in source.expected] == ["a/*", "b/*", "t"]
    assert (own.title, own.splits["t"]) == ("Our calls", "test")
    assert own.hours == {"a": 6.0, "b": 6.0, "t": 0.0}
    assert (own.licence.name, own.licence.commercial_use) == ("ours", False)
    assert own.clean(" two  words\n") == "two words"


def test_the_revision_depends_on_patterns_and_columns() -> None:
    first = corpus()
    assert corpus(title="another", hours=3).revision == first.revision
    assert corpus(columns={"speaker": "who"}).revision != first.revision
    assert corpus({"train": {"files": ["*.flac"]}}).revision != first.revision
    with pytest.raises(UserError, match=r"corpora\.own has no `local` block"):
        local_corpus("own", CorpusSettings())


def test_a_share_of_the_speakers_is_held_out(read_corpus: ReadCorpus) -> None:
    table = {"files": ["all.jsonl"]}
    splits = {
        "dev": {**table, "role": "validation", "percent": 10},
        "test": {**table, "role": "test", "percent": 20},
        "train": table,
    }
    rows = [{"audio": "1.flac", "text": "x", "who": f"s{n % 50}", "k": str(n)} for n in range(200)]
    own = corpus(splits, columns={"speaker": "who", "id": "k"}, hours=10)
    items, _ = read_corpus(own, {"all.jsonl": lines(*rows), "1.flac": flac(FIRST)})
    by_split: dict[str, set[str]] = {}
    for item in items:
        by_split.setdefault(item.split, set()).add(item.speaker_id)
    assert sum(map(len, by_split.values())) == 50, "no speaker is in two splits"
    assert len(by_split["dev"]) < len(by_split["test"]) < len(by_split["train"])
    assert own.hours == {"dev": 1.0, "test": 2.0, "train": 7.0}


def test_speaker_ids_of_recordings_hold_out_recordings(read_corpus: ReadCorpus) -> None:
    table = {"files": ["all.jsonl"]}
    splits = {"test": {**table, "role": "test", "percent": 20}, "train": table}
    columns = {"speaker": "who", "recording": "tape", "id": "k"}
    rows = [
        {"audio": "1.flac", "text": "x", "who": f"speaker_{n % 2}", "tape": f"t{n // 4}", "k": n}
        for n in range(200)
    ]
    files = {"all.jsonl": lines(*rows), "1.flac": flac(FIRST)}
    own = corpus(splits, columns=columns, speaker_ids="recording")
    items, _ = read_corpus(own, files)
    by_split: dict[str, set[str]] = {}
    for item in items:
        by_split.setdefault(item.split, set()).add(item.recording_id)
    assert sum(map(len, by_split.values())) == 50, "no recording is in two splits"
    assert 0 < len(by_split["test"]) < len(by_split["train"])
    assert (own.speaker_ids, corpus(splits).speaker_ids) == ("recording", "corpus")


def test_what_speaker_ids_mean_changes_the_plan_only_where_speakers_are_held_out() -> None:
    assert corpus(speaker_ids="recording").revision == corpus().revision
    shares = {"test": {**LINES["train"], "role": "test", "percent": 20}, **LINES}
    assert corpus(shares, speaker_ids="recording").revision != corpus(shares).revision


def test_a_share_whose_rest_nobody_takes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"splits\.dev takes 5 %.*no later split takes the rest"):
        corpus({"train": {"files": ["a"]}, "dev": {"files": ["a"], "percent": 5}})


def test_transcribed_audio_that_matches_no_pattern_is_counted(read_corpus: ReadCorpus) -> None:
    files = {
        "train/1.flac": flac(FIRST),
        "train/1.txt": b"one",
        "train/2.wav": b"of another suffix",
        "train/2.txt": b"two",
        "later/3.flac": b"in another folder",
        "later/3.txt": b"three",
        "later/4.mp3": b"without a transcript",
        "later/notes.txt": b"without audio",
    }
    items, _ = read_corpus(corpus(FOLDER), files)
    assert [in_brief(item) for item in items] == [
        ("train/1", "train/1", None, 0.0, None, "one"),
        quarantined("train/2", "no_audio", "train/2.wav matches no pattern of local.splits"),
        dropped("later/3", "not_in_a_split", "later/3.flac matches no pattern of local.splits"),
    ]
    assert {item.split for item in items} == {"train"}


def test_audio_beside_tables_or_without_texts_needs_no_pattern(read_corpus: ReadCorpus) -> None:
    others = {"other/1.wav": b"audio", "other/1.txt": b"text"}
    items, _ = read_corpus(
        corpus(FOLDER, columns={"text": None}), {"train/1.flac": flac(FIRST), **others}
    )
    assert [in_brief(item)[0] for item in items] == ["train/1"]
    rows = lines({"audio": "../audio/1.flac", "text": "one"})
    items, _ = read_corpus(
        corpus(LINES), {"audio/1.flac": flac(FIRST), "lists/train.jsonl": rows, **others}
    )
    assert [in_brief(item)[0] for item in items] == ["lists/train:1"]

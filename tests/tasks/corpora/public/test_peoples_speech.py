"""The People's Speech in both forms, with one row per edge case."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import ShardError
from storage.outcome import quarantined
from tasks.audio import decode
from tasks.corpora.base import Corpus, Segment, Unplanned
from tasks.corpora.public.peoples_speech import PEOPLES_SPEECH, PEOPLES_SPEECH_RELEASE
from tasks.download.files import RawFiles
from tests.builders import flac, noise

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]
Items = list[Segment | Unplanned]

MEETING = "20160404Budget"
SOUNDS = [flac(noise(8_000 + 100 * seed, seed=seed)) for seed in range(5)]
COLUMNS = ("id", "audio", "duration_ms", "text")


def hub_id(number: int, meeting: str = MEETING) -> str:
    return f"{meeting}_SLASH_{meeting}_DOT_mp3_{number:05d}.flac"


def parquet(rows: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> bytes:
    """A Parquet file with row groups of two rows and audio as written by `datasets`."""
    table = pa.table({name: [row[name] for row in rows] for name in columns})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=2)
    return file.getvalue()


def row(id: str | None, sound: bytes | None, duration_ms: int | None, text: str | None) -> Any:
    return {
        "id": id,
        "audio": {"bytes": sound, "path": id},
        "duration_ms": duration_ms,
        "text": text,
    }


HUB_ROWS = [
    row(hub_id(0), SOUNDS[0], 500, "we will now hear"),
    row(hub_id(1), SOUNDS[1], 9_000, ""),
    row("alone.flac", SOUNDS[2], None, "no folder and no duration"),
    row(hub_id(3), None, 500, "nobody put the audio in"),
    row(hub_id(4), SOUNDS[4], 500, None),
    row(None, SOUNDS[0], 500, "no name"),
]
HUB_FILES = {
    "clean/train-00000-of-00001.parquet": parquet(HUB_ROWS),
    "clean/validation-00000-of-00001.parquet": parquet([row(hub_id(0, "B"), SOUNDS[3], 530, "b")]),
    "clean/test-00000-of-00001.parquet": parquet([row(hub_id(0, "C"), SOUNDS[4], 540, "c")]),
    "dirty/train-00000-of-00001.parquet": b"another configuration",
}


def test_each_row_of_the_hub_is_a_segment(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(PEOPLES_SPEECH, HUB_FILES)
    segments = [item for item in items if isinstance(item, Segment)]
    assert [(s.split, s.id, s.recording_id, s.raw_text, s.audio.duration_s) for s in segments] == [
        ("test", hub_id(0, "C"), "C", "c", 0.54),
        ("train", hub_id(0), MEETING, "we will now hear", 0.5),
        ("train", hub_id(1), MEETING, "", 9.0),
        ("train", "alone.flac", "alone.flac", "no folder and no duration", None),
        ("train", hub_id(3), MEETING, "nobody put the audio in", 0.5),
        ("validation", hub_id(0, "B"), "B", "b", 0.53),
    ]
    assert all((s.speaker_id, s.start_s, s.end_s) == (None, 0.0, None) for s in segments)
    sounds = [SOUNDS[4], *SOUNDS[:3], b"", SOUNDS[3]]
    assert [raw.audio(segment.audio) for segment in segments] == sounds
    assert [item for item in items if isinstance(item, Unplanned)] == [
        Unplanned(
            split="train",
            row=quarantined(
                f"train-00000-of-00001:{number}", "malformed_line", f"id {found!r}, text {text!r}"
            ),
        )
        for number, found, text in ((4, hub_id(4), None), (5, None, "no name"))
    ]


def test_the_duration_is_that_of_the_audio(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(PEOPLES_SPEECH, HUB_FILES, ("train",))
    segment = next(item for item in items if isinstance(item, Segment) and item.id == hub_id(1))
    assert segment.audio.duration_s == 9.0
    assert decode(raw.audio(segment.audio)).duration_s == 8_100 / 16_000


def test_a_file_with_other_columns_is_reported(read_corpus: ReadCorpus) -> None:
    files = {"clean/train-00000-of-00001.parquet": parquet(HUB_ROWS, ("id", "audio", "text"))}
    with pytest.raises(ShardError, match="no column 'duration_ms'; it has id, audio, text"):
        read_corpus(PEOPLES_SPEECH, files)


def recording(identifier: object, names: object, labels: object, durations: object) -> Any:
    return {
        "audio_document_id": f"{identifier}.mp3",
        "identifier": identifier,
        "training_data": {"duration_ms": durations, "label": labels, "name": names},
    }


def name(number: int, meeting: str = MEETING) -> str:
    return f"{meeting}/{meeting}_DOT_mp3_{number:05d}.flac"


def other_order(line: Any) -> Any:
    """The keys of `training_data` in the order of some lines."""
    data = line["training_data"]
    return {**line, "training_data": {key: data[key] for key in ("name", "duration_ms", "label")}}


def lines(*recordings: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in recordings)


SOUND_LINES = [
    recording(MEETING, [name(0), f"./{name(1)}"], ["we will now hear", ""], [500, 9_000]),
    other_order(recording("gov", [name(0, "gov")], ["thank you mister chair"], [520])),
]
DEFECTIVE_LINES = [
    recording("short", [name(0, "short"), name(1, "short")], ["one label"], [500, 500]),
    recording("null", None, None, None),
    recording(7, [name(0)], ["a"], [500]),
    recording("untold", [name(0)], [None], [500]),
    ["no object"],
]
RELEASE: Mapping[str, bytes] = {
    "train/clean.json": lines(*SOUND_LINES),
    f"train/clean/{name(0)}": SOUNDS[0],
    f"train/clean/{name(1)}": SOUNDS[1],
    f"train/clean/{name(0, 'gov')}": SOUNDS[2],
    "validation/validation.json": lines(recording("v", [name(0, "v")], ["a hearing"], [530])),
    f"validation/validation/{name(0, 'v')}": SOUNDS[3],
    "test/test.json": lines(recording("t", [name(0, "t")], ["another"], [540])),
    f"test/test/{name(0, 't')}": SOUNDS[4],
    "train/dirty.json": b"another configuration",
}


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.recording_id, item.speaker_id, item.raw_text


def test_each_name_of_the_release_is_a_segment(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(PEOPLES_SPEECH_RELEASE, RELEASE)
    assert list(map(in_brief, items)) == [
        ("test", name(0, "t"), "t", None, "another"),
        ("train", name(0), MEETING, None, "we will now hear"),
        ("train", name(1), MEETING, None, ""),
        ("train", name(0, "gov"), "gov", None, "thank you mister chair"),
        ("validation", name(0, "v"), "v", None, "a hearing"),
    ]
    segments = [item for item in items if isinstance(item, Segment)]
    assert [s.audio.duration_s for s in segments] == [0.54, 0.5, 9.0, 0.52, 0.53]
    sounds = [SOUNDS[4], *SOUNDS[:4]]
    assert [raw.audio(segment.audio) for segment in segments] == sounds


def test_a_malformed_line_is_rejected_with_a_reason(read_corpus: ReadCorpus) -> None:
    absent = recording(MEETING, [name(9)], ["gone"], [500])
    metadata = lines(*DEFECTIVE_LINES) + b"\n{not json\n" + lines(absent)
    items, _ = read_corpus(PEOPLES_SPEECH_RELEASE, {**RELEASE, "train/clean.json": metadata})
    defective = [json.dumps(line) for line in DEFECTIVE_LINES]
    numbered = [*enumerate(defective, start=1), (len(defective) + 2, "{not json")]
    assert [item.row for item in items if isinstance(item, Unplanned)] == [
        *(quarantined(f"clean:{number}", "malformed_line", line[:80]) for number, line in numbered),
        quarantined(name(9), "no_audio", name(9)),
    ]


def test_lhotse_reads_the_same(read_corpus: ReadCorpus, tmp_path: Path) -> None:
    """lhotse depends on the order of the keys, and fails if subsets are missing."""
    from lhotse.recipes.peoples_speech import _prepare_subset

    of_one_order = [recording("gov", [name(0, "gov")], ["thank you"], [520]), SOUND_LINES[0]]
    files = {**RELEASE, "train/clean.json": lines(*of_one_order)}
    items, _ = read_corpus(PEOPLES_SPEECH_RELEASE, files)
    for subset, split in (("train/clean", "train"), ("test/test", "test")):
        _, supervisions = _prepare_subset(subset, tmp_path / "mirror")
        found = {(s.id, s.custom["session_id"], s.start, s.text) for s in supervisions}
        assert found == {
            (Path(s.id).stem, s.recording_id, s.start_s, s.raw_text)
            for s in items
            if isinstance(s, Segment) and s.split == split
        }


@pytest.mark.parametrize("corpus", [PEOPLES_SPEECH, PEOPLES_SPEECH_RELEASE])
def test_other_configurations_are_ignored(corpus: Corpus, read_corpus: ReadCorpus) -> None:
    _, raw = read_corpus(corpus, {**HUB_FILES, **RELEASE})
    assert not [member.name for member in raw.members() if "dirty" in member.name]

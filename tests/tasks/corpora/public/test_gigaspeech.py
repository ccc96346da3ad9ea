"""GigaSpeech in both forms, with one segment per edge case."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import ShardError
from storage.outcome import quarantined
from tasks.audio import decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.gigaspeech import GIGASPEECH, GIGASPEECH_RELEASE
from tasks.download.files import RawFiles
from tests.builders import encoded, noise, sine

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]

PODCAST, VIDEO, BOOK = "POD0000000999", "YOU0000000999", "AUD0000000999"
DURATION_S = 12.5
XL, L, DEV, TEST = "{XL}", "{L}", "{DEV}", "{TEST}"


def sid(aid: str, number: int) -> str:
    return f"{aid}_S{number:07d}"


def entry(
    aid: str, number: int, begin: object, end: object, text: object, *subsets: str, **changes: Any
) -> dict[str, Any]:
    return {
        "sid": sid(aid, number),
        "speaker": "N/A",
        "begin_time": begin,
        "end_time": end,
        "text_raw": "",
        "text_tn": text,
        "subsets": list(subsets),
        **changes,
    }


def audio(aid: str, source: str, segments: list[dict[str, Any]], *subsets: str) -> dict[str, Any]:
    return {
        "title": "a recording",
        "url": "",
        "path": f"audio/{source}/P0001/{aid}.opus",
        "aid": aid,
        "source": source,
        "format": "opus",
        "sample_rate": 16_000,
        "codec": "s16le",
        "channels": 1,
        "md5": "0" * 32,
        "duration": DURATION_S,
        "size": 1,
        "speaker": "N/A",
        "category": "Arts",
        "subsets": list(subsets),
        "segments": segments,
    }


SEGMENTS = [
    entry(PODCAST, 1, 0, 1.0, "SO HERE WE ARE <PERIOD>", XL),
    entry(PODCAST, 2, 1.0, 4.25, "WELL <COMMA> THAT IS NEW <PERIOD>", XL, L),
    entry(PODCAST, 3, 4.25, 5, "<SIL>", XL, L, speaker="Jane Doe"),
    entry(PODCAST, 4, 11.5, 14.0, "PAST THE END <EXCLAMATIONPOINT>", XL, L),
    entry(PODCAST, 5, 6.0, 5.5, "TURNED ROUND", XL, L),
    entry(PODCAST, 6, None, 5.5, "NO TIME", XL, L),
    entry(PODCAST, 7, 5.0, 5.5, None, XL, L),
]
AUDIOS = [
    audio(PODCAST, "podcast", SEGMENTS, XL, L),
    audio(BOOK, "audiobook", [entry(BOOK, 1, 0.5, 2.0, "NO FILE", XL, L)], XL, L),
    audio(VIDEO, "youtube", [entry(VIDEO, 1, 0.5, 2.0, "IS IT <QUESTIONMARK>", DEV)], DEV),
    audio("YOU0000000001", "youtube", [entry("YOU0000000001", 1, 1, 2.0, "IT IS", TEST)], TEST),
]
OPUS = {
    aid: encoded(sine(DURATION_S, frequency_hz=frequency_hz), "OGG", "OPUS")
    for aid, frequency_hz in ((PODCAST, 300.0), (VIDEO, 400.0), ("YOU0000000001", 500.0))
}


def metadata(audios: list[dict[str, Any]]) -> bytes:
    names = {"dataset": "GigaSpeech", "language": "EN", "version": "v1.0.0"}
    return json.dumps({**names, "audios": audios}).encode()


def release(audios: list[dict[str, Any]]) -> dict[str, bytes]:
    paths = {entry["aid"]: entry["path"] for entry in AUDIOS}
    return {
        "GigaSpeech.json": metadata(audios),
        "TERMS_OF_ACCESS": b"for research",
        **{paths[aid]: opus for aid, opus in OPUS.items()},
    }


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.speaker_id, item.start_s, item.end_s, item.raw_text


def test_an_entry_is_a_segment_or_is_rejected_with_a_reason(read_corpus: ReadCorpus) -> None:
    items, _ = read_corpus(GIGASPEECH_RELEASE, release(AUDIOS))

    def malformed(number: int, found: dict[str, Any]) -> tuple[object, ...]:
        detail = f"{PODCAST}: {found}"[:80]
        return "l", quarantined(f"GigaSpeech:{number}", "malformed_line", detail)

    assert list(map(in_brief, items)) == [
        ("l", sid(PODCAST, 2), None, 1.0, 4.25, "WELL <COMMA> THAT IS NEW <PERIOD>"),
        ("l", sid(PODCAST, 3), "Jane Doe", 4.25, 5, "<SIL>"),
        ("l", sid(PODCAST, 4), None, 11.5, 14.0, "PAST THE END <EXCLAMATIONPOINT>"),
        ("l", quarantined(sid(PODCAST, 5), "reversed_times", "6.0 to 5.5 s")),
        malformed(6, SEGMENTS[5]),
        malformed(7, SEGMENTS[6]),
        ("l", quarantined(sid(BOOK, 1), "no_audio", BOOK)),
        ("dev", sid(VIDEO, 1), None, 0.5, 2.0, "IS IT <QUESTIONMARK>"),
        ("test", sid("YOU0000000001", 1), None, 1.0, 2.0, "IT IS"),
    ]


def test_times_are_floats_within_the_recording(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(GIGASPEECH_RELEASE, release(AUDIOS))
    for segment in items:
        if isinstance(segment, Segment):
            assert type(segment.start_s) is float and type(segment.end_s) is float
            assert segment.id.startswith(segment.recording_id)
            assert raw.audio(segment.audio) == OPUS[segment.recording_id]
    assert decode(OPUS[PODCAST]).duration_s == pytest.approx(DURATION_S)


@pytest.mark.parametrize("found", [metadata(AUDIOS)[:-9], b"", b'{"audios": [{"aid": "POD"}]}'])
def test_incomplete_metadata_is_reported(found: bytes, read_corpus: ReadCorpus) -> None:
    with pytest.raises(ShardError, match=r"GigaSpeech\.json is incomplete, or not that of"):
        read_corpus(GIGASPEECH_RELEASE, {**release([]), "GigaSpeech.json": found})


def test_lhotse_reads_the_same(read_corpus: ReadCorpus) -> None:
    """Except for the choice of subsets, for which lhotse needs `speechcolab`."""
    from lhotse.recipes.gigaspeech import parse_utterance

    chosen = [
        {**found, "segments": [s for s in found["segments"] if {L, DEV, TEST} & {*s["subsets"]}]}
        for found in AUDIOS
    ]
    chosen[0]["segments"] = chosen[0]["segments"][:3]  # it does not bear reversed or missing times
    items, _ = read_corpus(GIGASPEECH_RELEASE, release(chosen))
    supervisions = [s for found in chosen for s in parse_utterance(found, Path())[1]]
    assert {
        (s.id, s.recording_id, s.start, s.end, s.text)
        for s in supervisions
        if s.recording_id in OPUS
    } == {
        (s.id, s.recording_id, s.start_s, s.end_s, s.raw_text)
        for s in items
        if isinstance(s, Segment)
    }


WAVES = [encoded(noise(4_000 + seed, seed=seed), "WAV", "PCM_16") for seed in range(4)]


def shard(*rows: tuple[object, ...]) -> bytes:
    """A Parquet file with the columns of the data set card."""
    names = ("segment_id", "speaker", "text", "audio", "begin_time", "end_time", "audio_id")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["audio"] = [{"bytes": sound, "path": "x.wav"} for sound in columns["audio"]]
    table = pa.table({**columns, "title": ["a recording"] * len(rows)})
    for name in ("begin_time", "end_time"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, table.column(name).cast(pa.float32()))
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_a_row_of_the_hub_is_a_cut_segment(read_corpus: ReadCorpus) -> None:
    items, raw = read_corpus(
        GIGASPEECH,
        {
            "l/train-00000-of-00001.parquet": shard(
                (sid(PODCAST, 2), "N/A", "WELL <COMMA> NEW", WAVES[0], 1.0, 4.25, PODCAST),
                (sid(PODCAST, 3), "Jane Doe", "<SIL>", WAVES[1], None, None, PODCAST),
                (sid(PODCAST, 4), None, None, WAVES[1], 5.0, 6.0, PODCAST),
            ),
            "dev/validation-00000-of-00001.parquet": shard(
                (sid(VIDEO, 1), "", "IS IT", WAVES[2], 0.5, 2.0, VIDEO)
            ),
            "test/test-00000-of-00001.parquet": shard(
                (sid(BOOK, 1), "N/A", "IT IS", WAVES[3], 2.0, 1.0, BOOK)
            ),
            "xl/train-00000-of-00001.parquet": b"another subset",
            "l/test-00000-of-00001.parquet": b"the test set again",
        },
    )
    segments = [item for item in items if isinstance(item, Segment)]
    assert [
        (s.split, s.id, s.recording_id, s.speaker_id, s.raw_text, s.audio.duration_s)
        for s in segments
    ] == [
        ("dev", sid(VIDEO, 1), VIDEO, None, "IS IT", 1.5),
        ("l", sid(PODCAST, 2), PODCAST, None, "WELL <COMMA> NEW", 3.25),
        ("l", sid(PODCAST, 3), PODCAST, "Jane Doe", "<SIL>", None),
        ("test", sid(BOOK, 1), BOOK, None, "IT IS", None),
    ]
    assert all((s.start_s, s.end_s) == (0.0, None) for s in segments)
    sounds = [WAVES[2], WAVES[0], WAVES[1], WAVES[3]]
    assert [raw.audio(segment.audio) for segment in segments] == sounds
    place = "train-00000-of-00001:2"
    detail = f"segment {sid(PODCAST, 4)!r}"
    assert [item for item in items if isinstance(item, Unplanned)] == [
        Unplanned(split="l", row=quarantined(place, "malformed_line", detail))
    ]

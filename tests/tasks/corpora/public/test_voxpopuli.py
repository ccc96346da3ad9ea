"""VoxPopuli as distributed by Meta, with one row per edge case."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import ShardError
from storage.outcome import dropped, quarantined
from tasks.audio import decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.voxpopuli import VOXPOPULI
from tasks.download.files import RawFiles
from tests.builders import encoded, sine, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]

SESSION, LATER = "20190114-0900-PLENARY-3", "20200109-0900-PLENARY-4"
HEADER = (
    "id_|paragraph_id|session_id|speaker_id|original_text|normed_text|decoded|start_time|end_time"
    "|cer|wer|vad|split|gender"
)


def row(
    number: int,
    vad: str,
    *,
    session: str = SESSION,
    speaker: str = "28299",
    original: str | None = None,
    split: str = "train",
) -> str:
    """A row with the start and end times of `vad`, as in the original tables."""
    normed = f"thank you {number}"
    text = f"Thank you {number}." if original is None else original
    times = vad.strip("[]()").replace("(", "").replace(")", "").split(", ")
    return (
        f"en_{number}|7|{session}|{speaker}|{text}|{normed}|{normed}|{times[0]}|{times[-1]}"
        f"|0.0|0.25|{vad}|{split}|female"
    )


def utterance_id(number: int, session: str = SESSION) -> str:
    return f"{session}-en_{number}"


SOUND = [
    row(1, "[(0.5, 2.0)]"),
    row(2, "[(2.25, 3.0), (3.5, 4.125)]", original="", speaker="None"),
    row(3, "[(0, 1.5)]", session=LATER, split="dev", original='Thank "you 3.'),
    row(4, "[[2.0, 3e0]]", session=LATER, split="test", speaker=""),
]
DEFECTS = [
    row(5, "[(0.5, 2.0)]", split="invalid"),
    row(6, "[(0.5, 2.0)]", session="20190115-0900-PLENARY-9"),
    row(7, "[(2.0, 1.0)]", split="test"),
    row(8, "[(2.0, 3.0), (1.0, 2.5)]"),
    row(9, "[]"),
    row(10, "[(1.0, nan)]"),
    row(11, "__import__('os').getcwd()", split="dev"),
    "too|few",
]


def mirror(lines: list[str], **members: bytes) -> dict[str, bytes]:
    """All distributed files; most years have no sessions."""
    table = "\n".join([HEADER, *lines, ""])
    files = {"asr_en.tsv.gz": gzip.compress(table.encode())}
    for year in range(2009, 2021):
        of_year = {name: data for name, data in members.items() if f"/{year}/" in name}
        files[f"original_{year}.tar"] = tar(of_year or {f"original/{year}/README": b"empty"})
    return files


def tar(members: dict[str, bytes]) -> bytes:
    return gzip.decompress(tar_gz(members))


OGG = {session: encoded(sine(5.0), "OGG", "VORBIS") for session in (SESSION, LATER)}
MEMBERS = {
    f"original/2019/{SESSION}_original.ogg": OGG[SESSION],
    f"raw_audios/original/2020/{LATER}_original.ogg": OGG[LATER],
}


def normed(text: str) -> str:
    return text.lower().replace('"', "").removesuffix(".")


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.speaker_id, item.raw_text, item.pieces_s


@pytest.fixture
def read(read_corpus: ReadCorpus) -> tuple[list[Segment | Unplanned], RawFiles]:
    return read_corpus(VOXPOPULI, mirror([*SOUND, *DEFECTS], **MEMBERS))


def test_every_row_is_a_segment_or_is_rejected_with_a_reason(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    def malformed(split: str, index: int) -> tuple[object, ...]:
        place, line = f"asr_en:{index + len(SOUND) + 2}", DEFECTS[index]
        return split, quarantined(place, "malformed_line", line[:80])

    absent = "20190115-0900-PLENARY-9"
    assert list(map(in_brief, read[0])) == [
        ("train", utterance_id(1), "28299", "Thank you 1.", ((0.5, 2.0),)),
        ("train", utterance_id(2), None, "thank you 2", ((2.25, 3.0), (3.5, 4.125))),
        ("dev", utterance_id(3, LATER), "28299", 'Thank "you 3.', ((0.0, 1.5),)),
        ("test", utterance_id(4, LATER), None, "Thank you 4.", ((2.0, 3.0),)),
        ("train", dropped(utterance_id(5), "not_in_a_split", "invalid")),
        ("train", quarantined(utterance_id(6, absent), "no_audio", absent)),
        ("test", quarantined(utterance_id(7), "reversed_times", "[(2.0, 1.0)]")),
        ("train", quarantined(utterance_id(8), "reversed_times", "[(2.0, 3.0), (1.0, 2.5)]")),
        malformed("train", 4),
        malformed("train", 5),
        malformed("dev", 6),
        malformed("train", 7),
    ]


def test_the_pieces_are_within_the_session(
    read: tuple[list[Segment | Unplanned], RawFiles],
) -> None:
    items, raw = read
    segments = {item.id: item for item in items if isinstance(item, Segment)}
    paused = segments[utterance_id(2)]
    assert (paused.recording_id, paused.start_s, paused.end_s) == (SESSION, 2.25, 4.125)
    for segment in segments.values():
        assert raw.audio(segment.audio) == OGG[segment.recording_id]
        assert segment.end_s is not None
        assert segment.end_s <= decode(raw.audio(segment.audio)).duration_s


def test_a_table_of_another_corpus_is_reported(read_corpus: ReadCorpus) -> None:
    files = mirror([], **MEMBERS) | {"asr_en.tsv.gz": gzip.compress(b"id|text\n1|thank you\n")}
    with pytest.raises(ShardError, match=r"no column 'id_'; it has id, text"):
        read_corpus(VOXPOPULI, files)


def test_lhotse_reads_the_same(
    read: tuple[list[Segment | Unplanned], RawFiles], tmp_path: Path
) -> None:
    """Except for ids, which lhotse numbers, and quotes, which it treats as CSV quoting."""
    from lhotse.recipes.voxpopuli import prepare_voxpopuli

    audio = tmp_path / "lhotse" / "raw_audios" / "en"
    audio.mkdir(parents=True)
    for session, ogg in OGG.items():
        (audio / f"{session}_original.ogg").write_bytes(ogg)
    annotations = mirror([line.replace('"', "") for line in SOUND])["asr_en.tsv.gz"]
    (tmp_path / "asr_en.tsv.gz").write_bytes(annotations)
    manifests = prepare_voxpopuli(tmp_path / "lhotse", tmp_path)
    found = {
        (split, s.recording_id, s.start, s.end, s.speaker.removeprefix("None") or None, s.text)
        for split, parts in manifests.items()
        for s in parts["supervisions"]
    }
    assert found == {
        (s.split, s.recording_id, s.start_s, s.end_s, s.speaker_id, normed(s.raw_text))
        for s in read[0]
        if isinstance(s, Segment)
    }

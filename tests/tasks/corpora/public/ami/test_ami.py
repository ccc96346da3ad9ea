"""AMI as distributed by Edinburgh and the Hub, with one segment per edge case."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lhotse.recipes.ami import PARTITIONS, parse_ami_annotations
from lhotse.recipes.utils import normalize_text_ami

from storage.errors import ShardError
from storage.outcome import dropped, quarantined
from tasks.audio import cut, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.ami.hub import AMI_HUB
from tasks.corpora.public.ami.meetings import MEETINGS
from tasks.corpora.public.ami.release import AMI
from tests.builders import encoded, flac, noise

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], object]]
Files = dict[str, bytes]

ROOT = '<nite:root xmlns:nite="http://nite.sourceforge.net/">'
MEETING, MANUAL = "ES2002a", "ami_public_manual_1.6.2"
HEADSET, STEREO, TABLE = noise(16_000 * 9, seed=1), noise(16_000 * 9, 2, seed=2), noise(160_000)


def xml(body: str) -> bytes:
    head = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
    return f"{head}{ROOT}\n{body}\n</nite:root>\n".encode("latin-1")


def meetings(*agents: tuple[str, str, str, int]) -> bytes:
    return xml(
        "\n".join(
            f'<meeting observation="{meeting}">'
            f'<speaker nxt_agent="{agent}" global_name="{name}" channel="{channel}"/></meeting>'
            for meeting, agent, name, channel in agents
        )
    )


def words(key: str, *elements: str) -> bytes:
    """Elements; `#` is replaced by their name."""
    return xml(
        "\n".join(
            element.replace(" #", f' nite:id="{key}.words{number}"')
            for number, element in enumerate(elements)
        )
    )


def segments(key: str, *rows: tuple[str, str, int, int]) -> bytes:
    """A segment from start, end, first and last word; the short form for a single word."""

    def href(first: int, last: int) -> str:
        begin = f"{key}.words.xml#id({key}.words{first})"
        return begin if first == last else f"{begin}..id({key}.words{last})"

    return xml(
        "\n".join(
            f'<segment channel="0" transcriber_start="{start}" transcriber_end="{end}">'
            f'<nite:child href="{href(first, last)}"/></segment>'
            for start, end, first, last in rows
        )
    )


A_WORDS = words(
    f"{MEETING}.A",
    '<w # starttime="0.5" endtime="0.9">Hi</w>',
    '<w # starttime="0.9" endtime="0.9" punc="true">,</w>',
    '<w # starttime="1" endtime="1.2" trunc="true">De</w>',
    "<w #>Ren\xe9</w>",
    '<vocalsound # starttime="1.4" endtime="1.5" type="laugh"/>',
    '<w # starttime="1.6" endtime="2">L_C_D_</w>',
    '<w # starttime="2" endtime="2" punc="true">.</w>',
    '<w # starttime="2.5" endtime="3">Yes</w>',
    '<vocalsound # starttime="4" endtime="4.5" type="cough"/>',
    '<w # starttime="7" endtime="7.5">Okay</w>',
)
A_SEGMENTS = segments(
    f"{MEETING}.A",
    ("0.4", "2.305", 0, 6),
    ("2.4", "3.1", 7, 7),
    ("4.0", "4.5", 8, 8),
    ("6.0", "5.5", 9, 9),
    ("7.0", "noon", 9, 9),
    ("7.0", "7.5", 9, 10),
)
B_WORDS = words(f"{MEETING}.B", '<w # starttime="1.5" endtime="2">Right</w>')
FILES: Files = {
    f"{MANUAL}/corpusResources/meetings.xml": meetings(
        (MEETING, "A", "MEE001", 0),
        (MEETING, "B", "FEE002", 1),
        (MEETING, "C", "MEE003", 2),
        ("ES2011b", "A", "MEE001", 3),
        ("ES9999a", "A", "MEE001", 0),
    ),
    f"{MANUAL}/words/{MEETING}.A.words.xml": A_WORDS,
    f"{MANUAL}/segments/{MEETING}.A.segments.xml": A_SEGMENTS,
    f"{MANUAL}/words/{MEETING}.B.words.xml": B_WORDS,
    f"{MANUAL}/segments/{MEETING}.B.segments.xml": segments(f"{MEETING}.B", ("1.25", "2.5", 0, 0)),
    f"{MANUAL}/segments/{MEETING}.C.segments.xml": segments(f"{MEETING}.C", ("1", "2", 0, 0)),
    f"{MANUAL}/segments/{MEETING}.D.segments.xml": segments(f"{MEETING}.D", ("1", "2", 0, 0)),
    f"{MANUAL}/segments/{MEETING}.E.segments.xml": b"<!DOCTYPE x><x/>",
    f"{MANUAL}/words/ES2011b.A.words.xml": words("ES2011b.A", "<w #>Hello</w>"),
    f"{MANUAL}/segments/ES2011b.A.segments.xml": segments("ES2011b.A", ("1", "2", 0, 0)),
    f"{MANUAL}/words/ES9999a.A.words.xml": words("ES9999a.A", "<w #>Hello</w>"),
    f"{MANUAL}/segments/ES9999a.A.segments.xml": segments("ES9999a.A", ("1", "2", 0, 0)),
    f"amicorpus/{MEETING}/audio/{MEETING}.Headset-0.wav": encoded(HEADSET, "WAV"),
    f"amicorpus/{MEETING}/audio/{MEETING}.Headset-1.wav": encoded(STEREO, "WAV"),
    f"amicorpus/{MEETING}/audio/{MEETING}.Array1-01.wav": encoded(TABLE, "WAV"),
    "amicorpus/ES2011b/audio/ES2011b.Headset-3.wav": encoded(HEADSET, "WAV"),
}


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.start_s, item.end_s, item.raw_text


@pytest.fixture
def items(read_corpus: ReadCorpus) -> tuple[list[Segment | Unplanned], object]:
    return read_corpus(AMI, FILES)


def expected(split: str, microphones: tuple[str, ...]) -> Iterator[tuple[object, ...]]:
    """The expected items of the training meeting on headsets 0 to 2, or on the table microphone."""
    zero, one, two = (f"AMI_{MEETING}_{microphone}" for microphone in microphones)
    unreadable = "unreadable_annotation"
    yield split, f"{zero}_MEE001_0000040_0000231", 0.4, 2.305, "Hi, De- Ren\xe9 L_C_D_."
    yield split, f"{zero}_MEE001_0000240_0000310", 2.4, 3.1, "Yes"
    yield split, dropped(f"{zero}_MEE001_0000400_0000450", "no_words")
    yield split, quarantined(f"{zero}_MEE001_0000600_0000550", "reversed_times", "6.0 to 5.5 s")
    yield split, quarantined(f"{MEETING}.A:5", "malformed_segment", "from '7.0' to 'noon'")
    no_word = f"no word '{MEETING}.A.words10'"
    yield split, quarantined(f"{zero}_MEE001_0000700_0000750", unreadable, no_word)
    yield split, f"{one}_FEE002_0000125_0000250", 1.25, 2.5, "Right"
    no_file = "there is no words file"
    yield split, quarantined(f"{two}_MEE003_0000100_0000200", unreadable, no_file)
    yield split, quarantined(f"{MEETING}.D:1", "unknown_speaker", "not in meetings.xml")
    declared = "it declares a document type, which annotations do not need"
    yield split, quarantined(f"{MEETING}.E", unreadable, declared)


@pytest.mark.parametrize(
    ("split", "microphones"),
    [("ihm-train", ("H00", "H01", "H02")), ("sdm-train", ("SDM", "SDM", "SDM"))],
)
def test_every_segment_is_there_on_both_microphones(
    items: tuple[list[Segment | Unplanned], object], split: str, microphones: tuple[str, ...]
) -> None:
    found = [in_brief(item) for item in items[0] if item.split == split]
    if split == "ihm-train":  # in which meetings are dropped that are in no split
        assert found.pop() == (split, dropped("ES9999a.A:1", "not_in_a_split", "ES9999a"))
    assert found == list(expected(split, microphones))


def test_a_meeting_without_a_table_microphone_is_quarantined_there(
    items: tuple[list[Segment | Unplanned], object],
) -> None:
    assert [in_brief(item) for item in items[0] if item.split.endswith("dev")] == [
        ("ihm-dev", "AMI_ES2011b_H03_MEE001_0000100_0000200", 1.0, 2.0, "Hello"),
        (
            "sdm-dev",
            quarantined(
                "AMI_ES2011b_SDM_MEE001_0000100_0000200", "no_audio", "ES2011b.Array1-01.wav"
            ),
        ),
    ]


def test_overlapping_speakers_share_the_table_and_have_a_headset_each(
    items: tuple[list[Segment | Unplanned], object],
) -> None:
    found, raw = items
    by_id = {item.id: item for item in found if isinstance(item, Segment)}
    for microphone, name, samples, first, last in [
        ("H00", "MEE001_0000040_0000231", HEADSET, 6_400, 36_880),
        ("H01", "FEE002_0000125_0000250", STEREO[:, :1], 20_000, 40_000),
        ("SDM", "MEE001_0000040_0000231", TABLE, 6_400, 36_880),
        ("SDM", "FEE002_0000125_0000250", TABLE, 20_000, 40_000),
    ]:
        segment = by_id[f"AMI_{MEETING}_{microphone}_{name}"]
        assert (segment.recording_id, segment.speaker_id) == (MEETING, name.partition("_")[0])
        recording = decode(raw.audio(segment.audio))
        piece = cut(recording, segment.channel, segment.start_s, segment.end_s)
        assert np.array_equal(piece.samples, samples[first:last])


def test_headsets_can_be_used_without_the_table_microphone(read_corpus: ReadCorpus) -> None:
    files = {name: data for name, data in FILES.items() if "Array1" not in name}
    found, _ = read_corpus(AMI, files, ("ihm-train", "ihm-dev"))
    assert sum(isinstance(item, Segment) for item in found) == 4


def test_a_corpus_without_a_table_of_speakers_is_refused(read_corpus: ReadCorpus) -> None:
    with pytest.raises(ShardError, match=r"meetings\.xml cannot be read: not well-formed"):
        read_corpus(AMI, {**FILES, f"{MANUAL}/corpusResources/meetings.xml": b"?"})


def test_the_splits_are_those_of_lhotse_except_for_one_meeting() -> None:
    """Kaldi has IB4005 in its training set; every other meeting is in one split of both."""
    theirs = {part: set(names) for part, names in PARTITIONS["full-corpus-asr"].items()}
    theirs["train"].add("IB4005")
    assert {part: set(names) for part, names in MEETINGS.items()} == theirs
    assert {part: len(names) for part, names in MEETINGS.items()} == {
        "train": 137,
        "dev": 18,
        "test": 16,
    }


def test_speakers_headsets_and_words_are_those_of_lhotse(
    read_corpus: ReadCorpus, tmp_path: Path
) -> None:
    """Except for times: those of lhotse are of the words, not of the segments.

    It reads neither ISO-8859-1 nor words without times or beyond the edges of their segment.
    """
    key = f"{MEETING}.A"
    spoken = words(
        key,
        '<w # starttime="1" endtime="1.5">Mm-hmm</w>',
        '<w # starttime="1.5" endtime="1.5" punc="true">,</w>',
        '<w # starttime="1.5" endtime="2">it&#39;s</w>',
        '<vocalsound # starttime="2" endtime="2.1" type="laugh"/>',
        '<w # starttime="2.2" endtime="2.5">fine</w>',
        '<w # starttime="2.5" endtime="2.5" punc="true">.</w>',
        '<w # starttime="4" endtime="4.5">Okay</w>',
    )
    files = {
        **{name: data for name, data in FILES.items() if name.endswith(".wav")},
        f"{MANUAL}/corpusResources/meetings.xml": meetings((MEETING, "A", "MEE001", 0)),
        f"{MANUAL}/words/{key}.words.xml": spoken,
        f"{MANUAL}/segments/{key}.segments.xml": segments(
            key, ("0.9", "2.6", 0, 5), ("3.9", "4.6", 6, 6)
        ),
    }
    found, _ = read_corpus(AMI, files, ("ihm-train",))
    ours = [item for item in found if isinstance(item, Segment) and item.split == "ihm-train"]
    for name, data in files.items():
        (tmp_path / "lhotse" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lhotse" / name).write_bytes(data)
    theirs = parse_ami_annotations(tmp_path / "lhotse" / MANUAL, normalize="kaldi")
    (((meeting, speaker, channel), annotations),) = theirs.items()
    assert {(item.recording_id, item.speaker_id) for item in ours} == {(meeting, speaker)}
    assert {item.audio.name.rpartition("-")[2] for item in ours} == {f"{channel}.wav"}
    assert [normalize_text_ami(item.raw_text, "kaldi") for item in ours] == [
        one.text for one in annotations
    ]
    for item, one in zip(ours, annotations, strict=True):
        assert item.end_s is not None
        assert item.start_s <= one.start_time < one.end_time <= item.end_s


def hub_file(*rows: tuple[str, str, str, bytes]) -> bytes:
    table = pa.table(
        {
            "meeting_id": [MEETING] * len(rows),
            "audio_id": [row[0] for row in rows],
            "text": [row[2] for row in rows],
            "audio": [{"bytes": row[3], "path": f"{row[0]}.flac"} for row in rows],
            "begin_time": pa.array([1.0] * len(rows), pa.float32()),
            "end_time": pa.array([2.0] * len(rows), pa.float32()),
            "microphone_id": ["H00"] * len(rows),
            "speaker_id": [row[1] for row in rows],
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_the_rows_of_the_hub_are_cut_segments(read_corpus: ReadCorpus) -> None:
    first, second = noise(16_000, seed=3), noise(8_000, seed=4)
    found, raw = read_corpus(
        AMI_HUB,
        {
            "ihm/train-00000-of-00001.parquet": hub_file(
                ("AMI_ES2002a_H00_MEE001_0000100_0000200", "MEE001", "HI THE L. C. D.", flac(first))
            ),
            "sdm/validation-00000-of-00001.parquet": hub_file(
                ("AMI_ES2002a_SDM_MEE001_0000100_0000150", "MEE001", "HI", flac(second))
            ),
        },
        ("ihm-train", "sdm-dev"),
    )
    segments = [item for item in found if isinstance(item, Segment)]
    assert [(s.split, s.id, s.recording_id, s.speaker_id, s.raw_text) for s in segments] == [
        (
            "ihm-train",
            "AMI_ES2002a_H00_MEE001_0000100_0000200",
            MEETING,
            "MEE001",
            "HI THE L. C. D.",
        ),
        ("sdm-dev", "AMI_ES2002a_SDM_MEE001_0000100_0000150", MEETING, "MEE001", "HI"),
    ]
    for segment, samples in zip(segments, (first, second), strict=True):
        assert (segment.start_s, segment.end_s) == (0.0, None)
        assert np.array_equal(decode(raw.audio(segment.audio)).samples, samples)

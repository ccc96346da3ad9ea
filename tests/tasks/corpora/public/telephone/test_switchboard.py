"""Switchboard as distributed by LDC and ISIP, with one line per edge case."""

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from storage.outcome import dropped, quarantined
from tasks.audio import cut, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.telephone.switchboard import SWITCHBOARD
from tasks.demo.formats.sphere import sphere_file
from tasks.download.files import RawFiles
from tests.builders import noise, tar_gz

Read = tuple[list[Segment | Unplanned], RawFiles]
ReadCorpus = Callable[..., Read]

ROOT = "swb_ms98_transcriptions"
SIDE_A = b"""\
sw9001A-ms98-a-0001 0.000000 0.977625 [silence]
sw9001A-ms98-a-0002 0.977625 4.561375 [laughter-yeah] it's th[at]- um
sw9001A-ms98-a-0003 4.561375 5.000000 [laughter]
"""
SIDE_B = b"""\
sw9001B-ms98-a-0001 0.000000 2.000000 [it'n/isn't] -[th]at
sw9001B-ms98-a-0002 2.000000 3.500000
sw9001B-ms98-a-0003 3.500000 3.400000 them_1
sw9001B-ms98-a-0004 3.500000 {yuppiedom}
sw9001B-ms98-a-0005 3.500000 4.000000 not \xff UTF-8
"""
CALL = noise(8_000 * 5, num_channels=2, seed=1)
TRANSCRIPTS = tar_gz(
    {
        f"{ROOT}/90/9001/sw9001A-ms98-a-trans.text": SIDE_A,
        f"{ROOT}/90/9001/sw9001A-ms98-a-word.text": b"sw9001A-ms98-a-0001 0.0 0.9 [silence]\n",
        f"{ROOT}/90/9001/sw9001B-ms98-a-trans.text": SIDE_B,
        f"{ROOT}/90/9002/sw9002A-ms98-a-trans.text": b"sw9002A-ms98-a-0001 0.0 1.0 okay\n",
        f"{ROOT}/90/9035/sw9035B-ms98-a-trans.text": b"sw9035B-ms98-a-0001 0.0 1.0 hi\n",
        f"{ROOT}/sw-ms98-dict.text": b"a ax\n",
    }
)
AUDIO = {
    "swb1_d1/data/sw09001.sph": sphere_file(
        CALL, 8_000, coding="ulaw", fields={"sample_count": f"-i {CALL.size}"}
    ),
    "swb1_d2/DATA/SW09035.SPH": sphere_file(CALL[:8_000], 8_000, coding="ulaw"),
}
CONV_TAB = (
    b"2001,Y,1020,1044,303,0,910304,1218,1222, ,\n9001,Y,1001,1002,303,0,910304,1218,1222, ,\n"
)
FILES = {"switchboard_word_alignments.tar.gz": TRANSCRIPTS, **AUDIO}


@pytest.fixture
def switchboard(read_corpus: ReadCorpus) -> Read:
    return read_corpus(SWITCHBOARD, FILES)


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.channel, item.start_s, item.end_s, item.raw_text


def malformed(number: int, line: str) -> tuple[object, ...]:
    name = "sw9001B-ms98-a-trans"
    return "train", quarantined(f"{name}:{number}", "malformed_line", line)


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(switchboard: Read) -> None:
    a, b, tagged = "sw9001A-ms98-a-", "sw9001B-ms98-a-", "[laughter-yeah] it's th[at]- um"
    assert list(map(in_brief, switchboard[0])) == [
        ("train", dropped(f"{a}0001", "silence")),
        ("train", f"{a}0002", 0, 0.977625, 4.561375, tagged),
        ("train", f"{a}0003", 0, 4.561375, 5.0, "[laughter]"),
        ("train", f"{b}0001", 1, 0.0, 2.0, "[it'n/isn't] -[th]at"),
        ("train", f"{b}0002", 1, 2.0, 3.5, ""),
        ("train", quarantined(f"{b}0003", "reversed_times", "3.5 to 3.4 s")),
        malformed(4, "sw9001B-ms98-a-0004 3.500000 {yuppiedom}"),
        malformed(5, "sw9001B-ms98-a-0005 3.500000 4.000000 not \ufffd UTF-8"),
        ("train", quarantined("sw9002A-ms98-a-0001", "no_audio", "sw09002")),
        ("dev", "sw9035B-ms98-a-0001", 1, 0.0, 1.0, "hi"),
    ]


def test_the_audio_of_a_side_is_its_channel_of_the_call(switchboard: Read) -> None:
    """Also if the header counts the samples of both channels, as in the first release."""
    items, raw = switchboard
    by_id = {item.id: item for item in items if isinstance(item, Segment)}
    for row_id, channel, first, last in [
        ("sw9001A-ms98-a-0003", 0, 36_491, 40_000),
        ("sw9001B-ms98-a-0001", 1, 0, 16_000),
    ]:
        segment = by_id[row_id]
        assert segment.recording_id == "sw09001"
        recording = decode(raw.audio(segment.audio))
        piece = cut(recording, segment.channel, segment.start_s, segment.end_s)
        assert np.corrcoef(piece.samples[:, 0], CALL[first:last, channel])[0, 1] > 0.999


@pytest.mark.parametrize("name", ["docs/conv_tab.csv", "doc/conv.tab"])
def test_speakers_have_pins_if_the_table_of_calls_is_present(
    name: str, read_corpus: ReadCorpus
) -> None:
    items, _ = read_corpus(SWITCHBOARD, {**FILES, name: CONV_TAB})
    speakers = {item.id[:7]: item.speaker_id for item in items if isinstance(item, Segment)}
    assert speakers == {"sw9001A": "1001", "sw9001B": "1002", "sw9035B": "sw9035-B"}


def test_without_that_table_a_side_is_a_speaker(switchboard: Read) -> None:
    speakers = {
        item.id[:7]: item.speaker_id for item in switchboard[0] if isinstance(item, Segment)
    }
    assert speakers == {"sw9001A": "sw9001-A", "sw9001B": "sw9001-B", "sw9035B": "sw9035-B"}


def test_lhotse_reads_the_same(switchboard: Read, tmp_path: Path) -> None:
    """Except for the speakers: lhotse uses one speaker for both sides of a call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lhotse.recipes.switchboard import make_segments

    transcript = tmp_path / "sw9001A-ms98-a-trans.text"
    transcript.write_bytes(SIDE_A)
    theirs = make_segments(transcript, SimpleNamespace(id="sw09001"), channel=0)
    ours = [
        item for item in switchboard[0] if isinstance(item, Segment) and item.id[:7] == "sw9001A"
    ]
    assert [(s.id, s.recording_id, s.channel, s.start, s.end, s.text) for s in theirs] == [
        (s.id, s.recording_id, s.channel, s.start_s, s.end_s, s.raw_text) for s in ours
    ]

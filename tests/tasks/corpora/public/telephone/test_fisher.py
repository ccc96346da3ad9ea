"""Fisher as delivered by the LDC, with one line per edge case."""

import warnings
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from storage.outcome import quarantined
from tasks.audio import cut, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.telephone.fisher import FISHER
from tasks.demo.formats.sphere import sphere_file
from tasks.download.files import RawFiles
from tests.builders import noise

Read = tuple[list[Segment | Unplanned], RawFiles]
ReadCorpus = Callable[..., Read]

SPH, TRANS, DOC = "fe_03_p1_sph1/audio/000", "fe_03_p1_tran/data/trans/000", "fe_03_p1_tran/doc"
THREE_LINES = b"""\
# fe_03_00000.sph
# Transcribed at the LDC

7.38 9.10 A: well i- i guess so [laughter]

8.95 9.60 B: (( mhm ))

9.50 9.90 A: (( ))

10.00 11.00 B: [[skip]]
"""
TWO_LINES = b"""\
# fe_03_00001.sph
# BBN
0.50 2.00 A: <german ja wohl >
2 3.125 B:
4.00 3.50 B: turned round
5.00 B: no end
5.00 six A: no number
5.00 6.00 C: no side
5.00 6.00 A: not \xff UTF-8
"""
TYPED_WRONG = b"""\
# fe_03_11487.sph
31.09 234.06 A: yeah
31.09 33.00 B: right
"""
CALLDATA = b"""\
CALL_ID,DATE_TIME,TOPICID,SIG_GRADE,CNV_GRADE,APIN,ASX.DL,APHNUM,APHSET,APHTYP,\
BPIN,BSX.DL,BPHNUM,BPHSET,BPHTYP
00000,20021209 23:23:41,ENG01,3,4,2602,f.a,0001C,4,1,1790,m.o,0002C,4,3
00001,20021210 00:09:15,ENG01,3,3,2602,m.a,0001C,4,1,,,,,
11487,20021210 00:09:15
"""
CALL = noise(8_000 * 12, num_channels=2, seed=1)
FILES = {
    f"{SPH}/fe_03_00000.sph": sphere_file(CALL, 8_000, coding="ulaw,embedded-shorten-v2.00"),
    f"{SPH}/fe_03_00001.sph": sphere_file(CALL[:8_000], 8_000, coding="ulaw"),
    "fe_03_p1_sph1/filetable.txt": b"fe_03_p1_sph1 fe_03_00000.sph fm\n",
    f"{TRANS}/fe_03_00000.txt": THREE_LINES,
    f"{TRANS}/fe_03_00001.txt": TWO_LINES,
    f"{TRANS}/fe_03_00002.txt": b"# fe_03_00002.sph\n\n1.00 2.00 A: whose call is missing\n",
    "fe_03_p1_tran/data/bbn_orig/000/fe_03_00003.txt": b"another form\n",
    f"{DOC}/fe_03_p1_calldata.tbl": CALLDATA,
    "fe_03_p2_sph7/audio/114/fe_03_11487.sph": sphere_file(CALL[:800], 8_000, coding="ulaw"),
    "fe_03_p2_tran/data/trans/114/fe_03_11487.txt": TYPED_WRONG,
}


@pytest.fixture
def fisher(read_corpus: ReadCorpus) -> Read:
    return read_corpus(FISHER, FILES)


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return (item.row,)
    return item.id, item.speaker_id, item.start_s, item.end_s, item.raw_text


def malformed(number: int, line: str) -> tuple[object, ...]:
    return (quarantined(f"fe_03_00001:{number}", "malformed_line", line),)


def test_every_turn_is_a_segment_or_is_rejected_with_a_reason(fisher: Read) -> None:
    one, two, bare = "fe_03_00000", "fe_03_00001", "fe_03_11487"
    assert list(map(in_brief, fisher[0])) == [
        (f"{one}-A-000738-000910", "2602f", 7.38, 9.1, "well i- i guess so [laughter]"),
        (f"{one}-B-000895-000960", "1790m", 8.95, 9.6, "(( mhm ))"),
        (f"{one}-A-000950-000990", "2602f", 9.5, 9.9, "(( ))"),
        (f"{one}-B-001000-001100", "1790m", 10.0, 11.0, "[[skip]]"),
        (f"{two}-A-000050-000200", "2602m", 0.5, 2.0, "<german ja wohl >"),
        (f"{two}-B-000200-000312", f"{two}-B", 2.0, 3.125, ""),
        (quarantined(f"{two}-B-000400-000350", "reversed_times", "4.0 to 3.5 s"),),
        malformed(6, "5.00 B: no end"),
        malformed(7, "5.00 six A: no number"),
        malformed(8, "5.00 6.00 C: no side"),
        malformed(9, "5.00 6.00 A: not \ufffd UTF-8"),
        (quarantined("fe_03_00002-A-000100-000200", "no_audio", "fe_03_00002"),),
        (f"{bare}-A-023109-023406", f"{bare}-A", 231.09, 234.06, "yeah"),
        (f"{bare}-B-003109-003300", f"{bare}-B", 31.09, 33.0, "right"),
    ]


def test_both_sides_are_channels_of_one_recording(fisher: Read) -> None:
    first, second, *_ = (item for item in fisher[0] if isinstance(item, Segment))
    assert (first.recording_id, first.channel) == ("fe_03_00000", 0)
    assert (second.recording_id, second.channel) == ("fe_03_00000", 1)
    assert first.audio == second.audio
    recording = decode(fisher[1].audio(second.audio))
    piece = cut(recording, second.channel, second.start_s, second.end_s)
    spoken = CALL[71_600:76_800, 1]
    assert np.corrcoef(piece.samples[:, 0], spoken)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("number", "call"), [(1, "00001"), (1, "04999"), (1, "05850"), (2, "05851"), (2, "11699")]
)
def test_each_file_belongs_to_one_delivery(number: int, call: str) -> None:
    speech, text = FISHER.sources[2 * number - 2 : 2 * number]
    files = (f"any/where/fe_03_{call}.sph", f"t/data/trans/{call[:3]}/fe_03_{call}.txt")
    for path, wanted in zip(files, (speech, text), strict=True):
        found = [
            source
            for source in FISHER.sources
            if any(fnmatchcase(path, pattern) for pattern in source.files)
        ]
        assert found == [wanted]


@pytest.mark.parametrize(
    ("path", "part", "disc"),
    [
        ("LDC2004S13/fe_03_p1_sph3/audio/013/fe_03_01300.sph", 1, 3),
        ("LDC2004S13/fisher_eng_tr_sp_d3/audio/013/fe_03_01300.sph", 1, 3),
        ("fe_03_p2_sph7/audio/114/fe_03_11487.sph", 2, 7),
    ],
)
def test_a_disc_is_recognised_by_both_names(path: str, part: int, disc: int) -> None:
    for source in FISHER.sources:
        for expected in source.expected:
            is_this = expected.what == f"speech disc {disc} of 7, part {part}"
            assert fnmatchcase(path, expected.pattern) == is_this


def test_lhotse_reads_the_same(fisher: Read, tmp_path: Path) -> None:
    """For the transcript with three header lines: lhotse skips three lines of any file.

    Its speakers are the PINs without the sex.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lhotse.recipes.fisher_english import create_supervision

    transcript = tmp_path / "fe_03_00000.txt"
    transcript.write_bytes(THREE_LINES)
    theirs = create_supervision(({"00000": {"A": "2602", "B": "1790"}}, transcript))
    ours = [
        item
        for item in fisher[0]
        if isinstance(item, Segment) and item.recording_id == "fe_03_00000"
    ]
    assert [
        (s.recording_id, s.channel, s.speaker, s.start, round(s.end, 3), s.text) for s in theirs
    ] == [
        (s.recording_id, s.channel, (s.speaker_id or "")[:-1], s.start_s, s.end_s, s.raw_text)
        for s in ours
    ]

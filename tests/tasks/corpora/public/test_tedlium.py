"""TED-LIUM 3 as distributed by OpenSLR, with one line per edge case."""

import tarfile
from collections.abc import Callable

import numpy as np
import pytest

from storage.outcome import dropped, quarantined
from tasks.audio import cut, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.tedlium import TEDLIUM, clean
from tests.builders import noise, special, sphere, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], object]]

ROOT = "TEDLIUM_release-3"
TRAIN_TALK, DEV_TALK = noise(16_000 * 20, seed=1), noise(16_000 * 5, seed=2)
TRAIN_STM = b"""\
;; transcript of JaneDoe_2015
JaneDoe_2015 1 JaneDoe_2015 0.00 2.50 <NA> so it 's the first <unk> we built
JaneDoe_2015 1 inter_segment_gap 2.50 3.00 <NA> ignore_time_segment_in_scoring
JaneDoe_2015 1 JaneDoe_2015 3 7.125 <NA> ' cause they don 't
JaneDoe_2015 1 JaneDoe_2015 8.00 8.00 <NA> no time at all
JaneDoe_2015 1 JaneDoe_2015 9.50 9.00 <NA> turned round

JaneDoe_2015 1 JaneDoe_2015 10.01 12.00 <NA>
NoTalk_2016 1 NoTalk_2016 1.00 2.00 <NA> whose talk is missing
JaneDoe_2015 1 JaneDoe_2015 noon 12.00 <NA> no number
JaneDoe_2015 1 JaneDoe_2015 -1.00 2.00 <NA> before the beginning
JaneDoe_2015 1 JaneDoe_2015 nan 2.00 <NA> not a number
JaneDoe_2015 1
JaneDoe_2015 1 JaneDoe_2015 12.00 13.00 <NA> not \xff UTF-8
"""
DEV_STM = b"""\
AlGore_2009 1 inter_segment_gap 0 0.50 <o,,unknown> IGNORE_TIME_SEGMENT_IN_SCORING
AlGore_2009 1 AlGore_2009 0.50 2.00 <F0_M> thank  you
AlGore_2009  1\tAlGore_2009 2.00 4.10 <o,f0,male> thank you again
"""
ARCHIVE = tar_gz(
    {
        f"{ROOT}/README": b"read me",
        f"{ROOT}/TEDLIUM.152k.dic": b"a AH\n",
        f"{ROOT}/data/sph/JaneDoe_2015.sph": sphere(TRAIN_TALK),
        f"{ROOT}/data/stm/JaneDoe_2015X.stm": TRAIN_STM,
        f"{ROOT}/legacy/dev/sph/AlGore_2009.sph": sphere(DEV_TALK, byte_order=">"),
        f"{ROOT}/legacy/dev/stm/AlGore_2009.stm": DEV_STM,
        f"{ROOT}/speaker-adaptation/train.lst": b"JaneDoe_2015\n",
    },
    [
        special(
            f"{ROOT}/legacy/train/sph/JaneDoe_2015.sph",
            tarfile.SYMTYPE,
            "../../../data/sph/JaneDoe_2015.sph",
        ),
        special(
            f"{ROOT}/legacy/train/stm/JaneDoe_2015X.stm",
            tarfile.SYMTYPE,
            "../../../data/stm/JaneDoe_2015X.stm",
        ),
    ],
)


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.start_s, item.end_s, item.raw_text


def malformed(number: int, line: str) -> tuple[object, ...]:
    return "train", quarantined(f"JaneDoe_2015X:{number}", "malformed_line", line)


@pytest.fixture
def items(read_corpus: ReadCorpus) -> tuple[list[Segment | Unplanned], object]:
    return read_corpus(TEDLIUM, {"TEDLIUM_release-3.tgz": ARCHIVE})


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(
    items: tuple[list[Segment | Unplanned], object],
) -> None:
    talk = "JaneDoe_2015"
    train = [item for item in items[0] if item.split == "train"]
    assert list(map(in_brief, train)) == [
        ("train", f"{talk}-0000000-0000250", 0.0, 2.5, "so it 's the first <unk> we built"),
        ("train", dropped(f"{talk}-0000250-0000300", "not_scored")),
        ("train", f"{talk}-0000300-0000712", 3.0, 7.125, "' cause they don 't"),
        ("train", quarantined(f"{talk}-0000800-0000800", "reversed_times", "8.0 to 8.0 s")),
        ("train", quarantined(f"{talk}-0000950-0000900", "reversed_times", "9.5 to 9.0 s")),
        ("train", f"{talk}-0001001-0001200", 10.01, 12.0, ""),
        ("train", quarantined("NoTalk_2016-0000100-0000200", "no_audio", "NoTalk_2016")),
        malformed(10, f"{talk} 1 {talk} noon 12.00 <NA> no number"),
        malformed(11, f"{talk} 1 {talk} -1.00 2.00 <NA> before the beginning"),
        malformed(12, f"{talk} 1 {talk} nan 2.00 <NA> not a number"),
        malformed(13, f"{talk} 1"),
        malformed(14, f"{talk} 1 {talk} 12.00 13.00 <NA> not \ufffd UTF-8"),
    ]


def test_the_held_out_talks_are_read_too(
    items: tuple[list[Segment | Unplanned], object],
) -> None:
    dev = [item for item in items[0] if item.split == "dev"]
    assert list(map(in_brief, dev)) == [
        ("dev", dropped("AlGore_2009-0000000-0000050", "not_scored")),
        ("dev", "AlGore_2009-0000050-0000200", 0.5, 2.0, "thank  you"),
        ("dev", "AlGore_2009-0000200-0000410", 2.0, 4.1, "thank you again"),
    ]


def test_speaker_and_recording_are_the_talk(
    items: tuple[list[Segment | Unplanned], object],
) -> None:
    segments = [item for item in items[0] if isinstance(item, Segment)]
    assert {(s.recording_id, s.speaker_id, s.channel) for s in segments} == {
        ("JaneDoe_2015", "JaneDoe_2015", 0),
        ("AlGore_2009", "AlGore_2009", 0),
    }


def test_the_audio_of_a_segment_is_its_part_of_the_talk(
    items: tuple[list[Segment | Unplanned], object],
) -> None:
    read, raw = items
    by_id = {item.id: item for item in read if isinstance(item, Segment)}
    for row_id, talk, first, last in [
        ("JaneDoe_2015-0000300-0000712", TRAIN_TALK, 48_000, 114_000),
        ("AlGore_2009-0000050-0000200", DEV_TALK, 8_000, 32_000),
    ]:
        segment = by_id[row_id]
        recording = decode(raw.read(segment.audio))
        piece = cut(recording, segment.channel, segment.start_s, segment.end_s)
        assert np.array_equal(piece.samples, talk[first:last])


@pytest.mark.parametrize(
    ("raw_text", "reference"),
    [
        ("so it 's the first <unk> we built", "so it's the first we built"),
        ("we 're sure they 've gone", "we're sure they've gone"),
        ("i 'm here and i 'll stay", "i'm here and i'll stay"),
        ("he 'd say it isn 't five o 'clock y 'all", "he'd say it isn't five o'clock y'all"),
        ("' cause they don 't", "'cause they don't"),
        ("just ' cause we can", "just 'cause we can"),
        ("{NOISE} well {COUGH} then {SMACK}", "well then"),
        ("<sil> for(2) the<sil> people", "for the people"),
        ("hello there (JaneDoe-12)", "hello there"),
        ("thank  you", "thank you"),
        ("it's as it is", "it's as it is"),
        ("<unk>", ""),
        ("", ""),
    ],
)
def test_a_transcript_becomes_a_reference(raw_text: str, reference: str) -> None:
    assert clean(raw_text) == reference


def test_the_published_digest_is_that_of_openslr() -> None:
    [archive] = TEDLIUM.sources
    assert archive.name == "TEDLIUM_release-3.tgz"
    assert archive.sha256 == "ad1e454d14d1ad550bc2564c462d87c7a7ec83d4dc2b9210f22ab4973b9eccdb"
    assert TEDLIUM.splits == {"train": "train", "dev": "validation", "test": "test"}

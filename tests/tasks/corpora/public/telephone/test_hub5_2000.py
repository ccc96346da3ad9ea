"""Hub5'00 as delivered by the LDC, with one line per edge case."""

from collections.abc import Callable

import numpy as np
import pytest

from storage.outcome import dropped, quarantined
from tasks.audio import cut, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.telephone.hub5_2000 import HUB5_2000
from tasks.demo.formats.sphere import sphere_file
from tasks.download.files import RawFiles
from tests.builders import noise

Read = tuple[list[Segment | Unplanned], RawFiles]
ReadCorpus = Callable[..., Read]

SPEECH, TEXT = "hub5e_00/english", "2000_hub5_eng_eval_tr/reference"
STM = b"""\
;; CATEGORY "0" "" ""
;; LABEL "en" "CallHome" ""
sw_0001 A sw_0001_A 0.00 0.50 <O,sw,M,sw-M>  IGNORE_TIME_SEGMENT_IN_SCORING
sw_0001 A sw_0001_A 0.50 2.00 <O,sw,M,sw-M>  YES (%HESITATION) I KNOW
sw_0001 B sw_0001_B 1.75 60 <O,sw,F,sw-F>  (TH-) THAT ENDS PAST THE END
en_0001 A en_0001_A 1.00 2.50 <O,en,F,en-F>
en_0001 B en_0001_B1 2.50 4.00  { GONNA / GOING TO } GO
en_0001 B en_0001_B 3.00 2.00 <O,en,F,en-F>  TURNED ROUND
en_0002 A en_0002_A 3.00 4.00 <O,en,F,en-F>  WHOSE CALL IS MISSING
en_0001 C en_0001_C 3.00 4.00 <O,en,F,en-F>  NO SIDE
sw_0001 A sw_0001_A one 4.00 <O,sw,M,sw-M>  NO NUMBER
"""
CALL = noise(8_000 * 5, num_channels=2, seed=1)
FILES = {
    f"{SPEECH}/sw_0001.sph": sphere_file(CALL, 8_000, coding="ulaw"),
    f"{SPEECH}/en_0001.sph": sphere_file(CALL, 8_000, coding="ulaw,embedded-shorten-v2.00"),
    f"{SPEECH}/hub5e_00.pem": b"en_0001 A unknown_speaker 1.00 2.50\n",
    f"{TEXT}/hub5e00.english.000405.stm": STM,
    f"{TEXT}/en20000405_hub5.glm": b";; rules\n",
    f"{TEXT}/english/en_0001.txt": b"1.00 2.50 A: yes\n",
}


@pytest.fixture
def hub5(read_corpus: ReadCorpus) -> Read:
    return read_corpus(HUB5_2000, FILES)


def in_brief(item: Segment | Unplanned) -> tuple[object, ...]:
    if isinstance(item, Unplanned):
        return item.split, item.row
    return item.split, item.id, item.speaker_id, item.raw_text


def malformed(split: str, number: int, line: str) -> tuple[object, ...]:
    place = f"hub5e00.english.000405:{number}"
    return split, quarantined(place, "malformed_line", line)


def test_every_line_is_a_segment_or_is_rejected_with_a_reason(hub5: Read) -> None:
    swb, home = "switchboard", "callhome"
    assert list(map(in_brief, hub5[0])) == [
        (swb, dropped("sw_0001-A_000000-000050", "not_scored")),
        (swb, "sw_0001-A_000050-000200", "sw_0001_A", "YES (%HESITATION) I KNOW"),
        (swb, "sw_0001-B_000175-006000", "sw_0001_B", "(TH-) THAT ENDS PAST THE END"),
        (home, "en_0001-A_000100-000250", "en_0001_A", ""),
        (home, "en_0001-B_000250-000400", "en_0001_B1", "{ GONNA / GOING TO } GO"),
        (home, quarantined("en_0001-B_000300-000200", "reversed_times", "3.0 to 2.0 s")),
        (home, quarantined("en_0002-A_000300-000400", "no_audio", "en_0002")),
        malformed(home, 10, "en_0001 C en_0001_C 3.00 4.00 <O,en,F,en-F>  NO SIDE"),
        malformed(swb, 11, "sw_0001 A sw_0001_A one 4.00 <O,sw,M,sw-M>  NO NUMBER"),
    ]


def test_the_audio_of_a_side_is_its_channel_of_the_call(hub5: Read) -> None:
    items, raw = hub5
    by_id = {item.id: item for item in items if isinstance(item, Segment)}
    for row_id, channel, first, last in [
        ("sw_0001-A_000050-000200", 0, 4_000, 16_000),
        ("en_0001-B_000250-000400", 1, 20_000, 32_000),
    ]:
        segment = by_id[row_id]
        recording = decode(raw.audio(segment.audio))
        piece = cut(recording, segment.channel, segment.start_s, segment.end_s)
        assert np.corrcoef(piece.samples[:, 0], CALL[first:last, channel])[0, 1] > 0.999


def test_both_splits_are_for_testing() -> None:
    assert set(HUB5_2000.splits.values()) == {"test"}
    assert HUB5_2000.paper_hours is None

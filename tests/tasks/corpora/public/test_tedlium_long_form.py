"""Whole talks of TED-LIUM 3, from the archive of its segments."""

from collections.abc import Callable

import numpy as np

from storage.outcome import dropped, quarantined
from tasks.audio import cut, decode
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.public.tedlium import TEDLIUM
from tasks.corpora.public.tedlium_long_form import TEDLIUM_LONG_FORM
from tests.builders import noise, sphere, tar_gz

ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], object]]

ROOT = "TEDLIUM_release-3"
TALK = noise(16_000 * 9)
STMS = {
    "data/stm/JaneDoe_2015": "JaneDoe_2015 1 JaneDoe_2015 0 1 <NA> of the training set",
    "legacy/dev/stm/AlGore_2009": """\
;; transcript of AlGore_2009
AlGore_2009 1 inter_segment_gap 0 0.50 <o,,unknown> ignore_time_segment_in_scoring
AlGore_2009 1 AlGore_2009 4.00 6.25 <o,f0,male> it 's <unk> late
AlGore_2009 1 AlGore_2009 0.50 2.00 <o,f0,male> thank you
AlGore_2009 1 inter_segment_gap 2 4 <o,,unknown> ignore_time_segment_in_scoring
""",
    "legacy/test/stm/Broken_2010": """\
Broken_2010 1 Broken_2010 0.50 2.00 <o,f0,male> thank you
Broken_2010 1 Broken_2010 noon 2.00 <o,f0,male> all
""",
    "legacy/test/stm/Lost_2010": "Lost_2010 1 Lost_2010 0.50 2.00 <o,f0,male> thank you",
    "legacy/test/stm/Quiet_2010": "Quiet_2010 1 x 0 9 <o> ignore_time_segment_in_scoring",
    "legacy/test/stm/Turned_2010": "Turned_2010 1 Turned_2010 3 2 <o,f0,male> thank you",
}


def test_a_talk_is_one_segment_between_its_first_and_last_words(read_corpus: ReadCorpus) -> None:
    files = {f"{ROOT}/{name}.stm": text.encode() for name, text in STMS.items()}
    for name in ("dev/sph/AlGore_2009", "test/sph/Broken_2010", "test/sph/Quiet_2010"):
        files[f"{ROOT}/legacy/{name}.sph"] = sphere(TALK)
    files[f"{ROOT}/data/sph/JaneDoe_2015.sph"] = sphere(TALK)
    found, raw = read_corpus(TEDLIUM_LONG_FORM, {f"{ROOT}.tgz": tar_gz(files)})
    talk, *others = found
    assert isinstance(talk, Segment)
    assert (talk.split, talk.id, talk.recording_id) == ("dev", "AlGore_2009", "AlGore_2009")
    assert talk.speaker_id == "AlGore_2009"
    assert talk.raw_text == "thank you it 's <unk> late"
    assert TEDLIUM_LONG_FORM.clean(talk.raw_text) == "thank you it's late"
    piece = cut(decode(raw.audio(talk.audio)), talk.channel, talk.start_s, talk.end_s)
    assert np.array_equal(piece.samples, TALK[8_000:100_000])
    broken = "line 2: Broken_2010 1 Broken_2010 noon 2.00 <o,f0,male> all"
    assert others == [
        Unplanned(split="test", row=row)
        for row in (
            quarantined("Broken_2010", "malformed_line", broken),
            quarantined("Lost_2010", "no_audio", "Lost_2010"),
            dropped("Quiet_2010", "not_scored"),
            quarantined("Turned_2010", "reversed_times", "3.0 to 2.0 s"),
        )
    ]


def test_it_uses_the_archive_of_the_segments() -> None:
    assert TEDLIUM_LONG_FORM.sources == TEDLIUM.sources
    assert TEDLIUM_LONG_FORM.splits == {"dev": "validation", "test": "test"}

"""Fisher English, parts 1 and 2 (LDC): telephone calls on a topic, in SPHERE with Shorten.

The two sides of a call are the channels of one file; a transcript has the turns of both.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tasks.corpora.base import (
    UNDECODABLE,
    Corpus,
    NoReference,
    Raw,
    Segment,
    Unplanned,
    malformed,
    numbered_lines,
    replaced_up_to,
)
from tasks.corpora.public.telephone.conversations import (
    CHANNELS,
    LDC_LICENCE,
    SECONDS,
    SPLITS,
    Turn,
    audio_by_call,
    centiseconds,
    how_to_order,
    split_of,
    whole_words,
)
from tasks.corpora.sources import Delivery, Expected
from tasks.corpora.tables import separated_rows

_COLUMNS: Final = ("CALL_ID", "APIN", "BPIN", "ASX.DL", "BSX.DL")
_CALL: Final = re.compile(r"fe_03_\d{5}")
_LINE: Final = re.compile(rf"{SECONDS}\s+{SECONDS}\s+([AB]):\s*(.*)")

_TYPING_ERRORS: Final = {("fe_03_11487", "31.09", "234.06"): 231.09}
"""Corrected starts, by call, start and end as typed: this turn would last 203 s."""

_FOREIGN: Final = re.compile(r"<[a-z]")
_SKIPPED: Final = re.compile(r"\[skip")
_TAG: Final = re.compile(r"\[[^\]]*\]+")
_UNCERTAIN: Final = re.compile(r"\(\(|\)\)")
# Not punctuation: they separate the letters of acronyms and mark rare names.
_MARKS: Final = str.maketrans("", "", "._~")


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per turn."""
    calls = audio_by_call(raw)
    speakers = _speakers(raw)
    for transcript in raw.members(".txt"):
        path = PurePosixPath(transcript.name)
        # bbn_orig has the vendor's originals in another format
        if "trans" not in path.parts or not _CALL.fullmatch(call := path.stem):
            continue
        split = split_of(call)
        for number, line in numbered_lines(raw.read(transcript)):
            if line.startswith("#"):
                continue
            match = _LINE.fullmatch(line)
            if match is None or UNDECODABLE in line:
                yield malformed(split, transcript, number, line)
                continue
            start, end, side, text = match.groups()
            start_s = _TYPING_ERRORS.get((call, start, end), float(start))
            first, last = centiseconds(start_s, float(end))
            yield Turn(
                id=f"{call}-{side}-{first:06d}-{last:06d}",
                split=split,
                call=call,
                side=side,
                speaker_id=speakers.get((call, side), f"{call}-{side}"),
                start_s=start_s,
                end_s=float(end),
                text=text,
            ).to_segment(calls)


def _speakers(raw: Raw) -> dict[tuple[str, str], str]:
    """The speakers by call and side: PIN and sex, since some PINs are shared by two people.

    `ASX.DL` and `BSX.DL` are the sex and dialect judged by ear in that call, as in `f.a`.
    """
    speakers: dict[tuple[str, str], str] = {}
    for table in raw.members("_calldata.tbl"):
        for _, _, row in separated_rows(raw, table, ",", columns=_COLUMNS):
            if row is None:
                continue
            for side in CHANNELS:
                pin, sex = row[f"{side}PIN"].strip(), row[f"{side}SX.DL"][:1]
                if pin:
                    name = pin + (sex if sex in ("m", "f") else "")
                    speakers[f"fe_03_{row['CALL_ID']}", side] = name
    return speakers


def clean(raw_text: str) -> str | NoReference:
    """The reference, without tags, uncertainty marks and word fragments; acronyms as one word.

    The text between uncertainty marks is a guess and is kept: if it is wrong, the filter drops the
    row when it compares the reference with the label.

    >>> clean("so i- i heard it on c._n._n. [laughter] (( i think ))")
    'so i heard it on cnn i think'
    """
    lowered = raw_text.lower()
    if _FOREIGN.search(lowered):
        return NoReference("foreign")
    if _SKIPPED.search(lowered):
        return NoReference("skipped")
    words = _UNCERTAIN.sub(" ", replaced_up_to("]", _TAG, " ", lowered)).translate(_MARKS)
    if text := whole_words(words):
        return text
    if words.split():
        return NoReference("no_whole_word")
    if _UNCERTAIN.search(lowered):
        return NoReference("not_understood")
    return NoReference("no_speech") if lowered.strip() else ""


def _speech(number: str, part: int, calls: tuple[str, ...], discs: str) -> Delivery:
    return Delivery(
        name=number,
        title=f"Fisher English Training, Part {part}, Speech",
        files=tuple(f"*fe_03_{call}.sph" for call in calls),
        expected=tuple(
            Expected(pattern=discs.format(disc), what=f"speech disc {disc} of 7, part {part}")
            for disc in range(1, 8)
        ),
        how=how_to_order(number),
    )


def _text(number: str, part: int, calls: tuple[str, ...]) -> Delivery:
    table = f"*fe_03_p{part}_calldata.tbl"
    transcripts = tuple(f"*trans/*fe_03_{call}.txt" for call in calls)
    return Delivery(
        name=number,
        title=f"Fisher English Training, Part {part}, Transcripts",
        files=(*transcripts, table),
        expected=(
            Expected(pattern=transcripts[0], what=f"transcripts of part {part}"),
            Expected(pattern=table, what=f"table of calls of part {part}"),
        ),
        how=how_to_order(number),
    )


# part 1 has the calls up to number 05850
_PART_1: Final = ("0[0-4]???", "05[0-7]??", "058[0-4]?", "05850")
_PART_2: Final = ("1????", "0[6-9]???", "059??", "058[6-9]?", "0585[1-9]")
# fe_03_p1_sph1, or fisher_eng_tr_sp_d1 in the download version of part 1
_DISCS_1: Final = "*[1r]_sp*[hd]{}/*.sph"
_DISCS_2: Final = "*p2_sp*h{}/*.sph"

FISHER: Final = Corpus(
    name="fisher",
    title="Fisher English (parts 1 and 2)",
    homepage="https://catalog.ldc.upenn.edu/LDC2004S13",
    licence=LDC_LICENCE,
    revision="ldc2004-ldc2005",
    sources=(
        _speech("LDC2004S13", 1, _PART_1, _DISCS_1),
        _text("LDC2004T19", 1, _PART_1),
        _speech("LDC2005S13", 2, _PART_2, _DISCS_2),
        _text("LDC2005T19", 2, _PART_2),
    ),
    splits=SPLITS,
    hours={"train": 1862.0, "dev": 49.0, "test": 49.0},
    mean_utterance_s=3.3,
    paper_hours=1960,
    read=read,
    clean=clean,
    examples={
        "well i- i guess so [laughter]": "well i guess so",
        "(( mhm ))": "mhm",
        "he works for (( )) and he": "he works for and he",
        "(( ))": NoReference("not_understood"),
        "(( )) [noise]": NoReference("not_understood"),
        "[laughter]": NoReference("no_speech"),
        "[laugh] [noise] [sigh] [cough] [mn]": NoReference("no_speech"),
        "[breath] yeah [lipsmack] right [sneeze]": "yeah right",
        "uh-huh [pause for a moment] okay": "uh-huh okay",
        "[[skip]]": NoReference("skipped"),
        "and then [skip to the end]": NoReference("skipped"),
        "<german ja wohl >": NoReference("foreign"),
        "he said <german (( ja wohl )) >": NoReference("foreign"),
        "i watch c._n._n.": "i watch cnn",
        "at u_.c_.l_.a. in the nineties": "at ucla in the nineties",
        "the d._v._d.s and c._n._n.'s": "the dvds and cnn's",
        "with ~dupont": "with dupont",
        "th- i-": NoReference("no_whole_word"),
        "": "",
    },
    notes=(
        "There are no official splits: 2.5 % of the calls each are held out for dev and test, by a"
        " hash of their names. Speakers with several calls may be in several splits.",
        "Hours are those of the calls; those of the splits are estimated from their shares.",
        "It was not verified that every file uses version 2.00 of Shorten.",
        "The start of one turn of call 11487 is corrected from 31.09 s to 231.09 s.",
        "Turns of the two sides overlap, and each channel may contain some of the other voice.",
    ),
)

"""Hub5'00 English (LDC2002S09, LDC2002T43): 20 calls of Switchboard, 20 of CallHome, for testing.

The two sets are scored separately and are one split each. The reference is the STM file; the PEM
file beside the audio has the same times without words and is not needed.
"""

import re
from collections.abc import Iterator
from typing import Final

from storage.outcome import dropped
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
    LDC_LICENCE,
    SECONDS,
    Turn,
    audio_by_call,
    centiseconds,
    how_to_order,
    whole_words,
)
from tasks.corpora.sources import Delivery, Expected

_LINE: Final = re.compile(
    rf"((?:sw|en)_\d+)\s+([AB])\s+(\S+)\s+{SECONDS}\s+{SECONDS}(?:\s+<[^>]*>)?(?:\s+(.*))?"
)
_NOT_SCORED: Final = "ignore_time_segment"

_CONTRACTION: Final = re.compile(r'<contraction e_form="[^"]*">')
_HESITATION: Final = re.compile(r"\(%[^)]*\)")
_TAG: Final = re.compile(r"<[^>]*>")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_MARKS: Final = str.maketrans("", "", "()%")


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per scored STM line."""
    calls = audio_by_call(raw)
    for stm in raw.members(".stm"):
        for number, line in numbered_lines(raw.read(stm)):
            if line.startswith(";;"):
                continue
            split = "switchboard" if line.startswith("sw") else "callhome"
            match = _LINE.fullmatch(line)
            if match is None or UNDECODABLE in line:
                yield malformed(split, stm, number, line)
                continue
            call, side, speaker, start, end, text = match.groups(default="")
            first, last = centiseconds(float(start), float(end))
            utterance_id = f"{call}-{side}_{first:06d}-{last:06d}"
            if text.lower().startswith(_NOT_SCORED):
                yield Unplanned(split=split, row=dropped(utterance_id, "not_scored"))
                continue
            yield Turn(
                id=utterance_id,
                split=split,
                call=call,
                side=side,
                speaker_id=speaker,
                start_s=float(start),
                end_s=float(end),
                text=text,
            ).to_segment(calls)


def clean(raw_text: str) -> str | NoReference:
    """The lower-case reference: the first alternative, without hesitations and word fragments.

    Other words in parentheses are optional for a scorer; they are kept.

    >>> clean("YES (%HESITATION) I (TH-) KNOW { GONNA / GOING TO }")
    'yes i know gonna'
    """
    # the contraction tag contains `=>`, so it is removed before the other tags
    text = replaced_up_to(")", _HESITATION, " ", _CONTRACTION.sub("", raw_text.lower()))
    text = replaced_up_to(">", _TAG, " ", text)
    text = _BRACES.sub(_first_alternative, text).translate(_MARKS)
    if words := whole_words(text):
        return words
    if text.split():
        return NoReference("no_whole_word")
    return NoReference("no_speech") if raw_text.strip() else ""


def _first_alternative(braces: re.Match[str]) -> str:
    """`{a / b / @}` is a choice, with `@` for nothing; one word in braces is a noise."""
    first, slash, _ = braces[1].partition("/")
    return first if slash and first.strip() != "@" else " "


HUB5_2000: Final = Corpus(
    name="hub5_2000",
    title="2000 HUB5 English Evaluation",
    homepage="https://catalog.ldc.upenn.edu/LDC2002S09",
    licence=LDC_LICENCE,
    revision="ldc2002s09-ldc2002t43",
    sources=(
        Delivery(
            name="LDC2002S09",
            title="2000 HUB5 English Evaluation Speech",
            files=(
                "*english/sw_????.sph",
                "*english/en_????.sph",
                "*ENGLISH/SW_????.SPH",
                "*ENGLISH/EN_????.SPH",
            ),
            expected=(
                Expected(pattern="*english/sw_????.sph", what="the calls of Switchboard"),
                Expected(pattern="*english/en_????.sph", what="the calls of CallHome"),
            ),
            how=how_to_order("LDC2002S09"),
        ),
        Delivery(
            name="LDC2002T43",
            title="2000 HUB5 English Evaluation Transcripts",
            files=("*hub5e00.english.*.stm",),
            expected=(Expected(pattern="*hub5e00.english.*.stm", what="the references"),),
            how=how_to_order("LDC2002T43"),
        ),
    ),
    splits={"switchboard": "test", "callhome": "test"},
    hours={"switchboard": 5.5, "callhome": 5.5},
    read=read,
    clean=clean,
    examples={
        "YES I KNOW": "yes i know",
        "(%HESITATION) YES (%HESITATION) I KNOW": "yes i know",
        "(%HESITATION)": NoReference("no_speech"),
        "I (TH-) THINK SO": "i think so",
        "((MAYBE) YOU KNOW": "maybe you know",
        "<B_ASIDE> COME IN <E_ASIDE> SORRY": "come in sorry",
        "{ GONNA / GOING TO / @ } GO": "gonna go",
        "{ @ / UH } GO": "go",
        "%um, {breath} oh, %uh": "um, oh, uh",
        "{breath}": NoReference("no_speech"),
        """<contraction e_form="[we=>we]['re=>are]">we're leaving""": "we're leaving",
        "": "",
    },
    notes=(
        "For evaluation only: 40 calls with about 11 hours of audio, of which parts are annotated."
        " The hours of the splits are half of that each, since none are published.",
        "Error rates use Whisper's normaliser, not sclite with its table of equivalent spellings"
        " (en20000405_hub5.glm), so they are not comparable with published ones.",
        "Alternatives in braces follow descriptions of the format, not the file itself.",
        "It was not verified whether the audio is compressed with Shorten; both kinds are read.",
    ),
)

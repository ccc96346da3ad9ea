"""Switchboard-1 Release 2 (LDC97S62) with the ISIP transcripts of 1998.

A call is a SPHERE file with two channels; a transcript covers one side without gaps.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
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
    SPLITS,
    Turn,
    audio_by_call,
    how_to_order,
    is_fragment,
    split_of,
)
from tasks.corpora.sources import Archive, Delivery, Expected

_LINE: Final = re.compile(rf"(sw(\d{{4}})([AB])-ms98-a-\d+)\s+{SECONDS}\s+{SECONDS}(?:\s+(.*))?")
_SILENCE: Final = "[silence]"

_TAG: Final = re.compile(
    r"\[(?:silence|noise|laughter|vocalized-noise)\]-?|<[abe]_aside>", re.IGNORECASE
)
_LAUGHING: Final = re.compile(r"(-?)\[laughter-(.+)\](-?)", re.IGNORECASE)
_INTENDED: Final = re.compile(r"\[?(.+)/(.+)\](-?)")  # the first bracket is sometimes missing
_COINED: Final = re.compile(r"\{(.+)\}")
_VARIANT: Final = re.compile(r"_\d")


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per line; lines of silence are dropped."""
    calls = audio_by_call(raw)
    speakers = _speakers(raw)
    for transcript in raw.members("-trans.text"):
        for number, line in numbered_lines(raw.read(transcript)):
            match = _LINE.fullmatch(line)
            if match is None or UNDECODABLE in line:
                split = split_of(_call(PurePosixPath(transcript.name).stem[2:6]))
                yield malformed(split, transcript, number, line)
                continue
            utterance_id, conversation, side, start, end, text = match.groups(default="")
            call = _call(conversation)
            if text.lower() == _SILENCE:
                yield Unplanned(split=split_of(call), row=dropped(utterance_id, "silence"))
                continue
            yield Turn(
                id=utterance_id,
                split=split_of(call),
                call=call,
                side=side,
                speaker_id=speakers.get((conversation, side), f"sw{conversation}-{side}"),
                start_s=float(start),
                end_s=float(end),
                text=text,
            ).to_segment(calls)


def _call(conversation: str) -> str:
    """The name of the audio of a conversation: sw02001 for 2001."""
    return f"sw0{conversation}"


def _speakers(raw: Raw) -> dict[tuple[str, str], str]:
    """The PIN of each caller by conversation and side, if the documentation is present.

    The fields of a line: conversation, flag, caller A, caller B, topic, and more.
    """
    speakers: dict[tuple[str, str], str] = {}
    for suffix in ("conv.tab", "conv_tab.csv"):
        for table in raw.members(suffix):
            for _, line in numbered_lines(raw.read(table)):
                conversation, *rest = (field.strip(' "') for field in line.split(","))
                for side, pin in zip("AB", rest[1:3], strict=False):
                    if conversation.isdigit() and pin.isdigit():
                        speakers[conversation, side] = pin
    return speakers


def clean(raw_text: str) -> str | NoReference:
    """The reference: complete words without tags.

    Of `[it'n/isn't]` the second, the intended word; laughed and coined words without brackets; no
    word fragments.

    >>> clean("[laughter-yeah] [it'n/isn't] th[at]- {yuppiedom} to them_1")
    "yeah isn't yuppiedom to them"
    """
    tokens = _TAG.sub(" ", raw_text).split()
    if words := [word for word in map(_word, tokens) if word]:
        return " ".join(words)
    if tokens:
        return NoReference("no_whole_word")
    return NoReference("no_speech") if raw_text.strip() else ""


def _word(token: str) -> str:
    """The word of a token; empty for a fragment.

    Brackets inside a token enclose sounds that were not pronounced: at an end they mark a fragment,
    even without a dash; in the middle, a slurred word.
    """
    if match := _LAUGHING.fullmatch(token):
        token = "".join(match.groups())
    # without the bracket at the end, each slash would be tried with each rest
    if token.endswith(("]", "]-")) and (match := _INTENDED.fullmatch(token)):
        spoken, intended, dash = match.groups()
        token = spoken if is_fragment(spoken) else intended + dash
    token = _VARIANT.sub("", replaced_up_to("}", _COINED, r"\1", token))
    if is_fragment(token) or token.startswith("[") or token.endswith("]"):
        return ""
    return token.replace("[", "").replace("]", "")


SWITCHBOARD: Final = Corpus(
    name="switchboard",
    title="Switchboard-1 Release 2",
    homepage="https://catalog.ldc.upenn.edu/LDC97S62",
    licence=LDC_LICENCE,
    revision="ldc97s62-isip1998",
    sources=(
        Delivery(
            name="LDC97S62",
            title="Switchboard-1 Release 2",
            files=("*sw0????.sph", "*SW0????.SPH", "*conv.tab", "*conv_tab.csv"),
            expected=tuple(
                Expected(pattern=f"*swb1_d{disc}/*sw0????.sph", what=f"disc {disc} of 4")
                for disc in range(1, 5)
            ),
            how=how_to_order("LDC97S62"),
        ),
        Archive(url="https://www.openslr.org/resources/5/switchboard_word_alignments.tar.gz"),
    ),
    splits=SPLITS,
    hours={"train": 247.0, "dev": 6.5, "test": 6.5},
    mean_utterance_s=4.8,
    paper_hours=260,
    read=read,
    clean=clean,
    examples={
        "okay [silence] so [noise] yeah [vocalized-noise]": "okay so yeah",
        "[silence]": NoReference("no_speech"),
        "[laughter]": NoReference("no_speech"),
        "[NOISE] [VOCALIZED-NOISE]-": NoReference("no_speech"),
        "<b_aside> come in <e_aside> sorry <a_aside>": "come in sorry",
        "[laughter-yeah] it's th[at]- um": "yeah it's um",
        "[laughter-th[at]-] [laughter-they]": "they",
        "[it'n/isn't] it": "isn't it",
        "[laughter-[it'n/isn't]] it": "isn't it",
        "we ate [lem[guini]-/linguini]": "we ate",
        "we ate ex[specially]-/especially] late": "we ate late",
        "we're -[go]ing to westmin[ster]-": "we're to",
        "-[th]at is -[adv]an[tage]-": "is",
        "absolute[ly] [an]y": NoReference("no_whole_word"),
        "the tech[n]ology": "the technology",
        "{yuppiedom} is": "yuppiedom is",
        "to them_1 and them_1's": "to them and them's",
        "uh-huh": "uh-huh",
        "th-": NoReference("no_whole_word"),
        "": "",
    },
    notes=(
        "There are no official splits: 2.5 % of the calls each are held out for dev and test, by a"
        " hash of their names. Speakers with several calls may be in several splits.",
        "Hours are those of the calls; those of the splits are estimated from their shares.",
        "Speakers are identified by PIN if conv.tab of the documentation is present"
        " (https://catalog.ldc.upenn.edu/docs/LDC97S62/), else by conversation and side.",
        "No digest of the transcripts is published.",
        "Headers of the first release count the samples of both channels together.",
        "Each channel may contain some of the other voice; in calls before 3170 the channels are"
        " shifted against each other by varying amounts.",
    ),
)

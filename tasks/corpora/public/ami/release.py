"""AMI: meetings, recorded by headsets (IHM) and by one table microphone (SDM)."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from storage.errors import ShardError
from storage.outcome import Rejected, dropped, quarantined
from tasks.corpora.base import (
    Corpus,
    Licence,
    Member,
    NoReference,
    Raw,
    Role,
    Segment,
    Unplanned,
    checked_segment,
)
from tasks.corpora.public.ami.meetings import PART_OF_MEETING
from tasks.corpora.public.ami.nxt import NxtError, NxtSegment, Speaker, Words, segments, speakers
from tasks.corpora.sources import Delivery, Expected

_IHM: Final[dict[str, Role]] = {"ihm-train": "train", "ihm-dev": "validation", "ihm-test": "test"}
_SDM: Final[dict[str, Role]] = {"sdm-train": "train", "sdm-dev": "validation", "sdm-test": "test"}

_TIME = re.compile(r"[0-9]{1,7}(\.[0-9]+)?")  # seconds, never negative
_FILE = re.compile(r"([^.]+)\.([^.]+)\.(?:segments|words)")  # meeting, agent
_FRAGMENT = re.compile(r"(?<!\S)\S*-[.,?!:;]*(?!\S)")  # or a single dash
_SPELT = re.compile(r"(?<![^\W_])(?:[A-Za-z]_)+")  # L_C_D_, possibly followed by a letter


@dataclass(frozen=True, slots=True)
class _Participant:
    """A speaker in a meeting; `audio` maps the names of all recordings to files."""

    meeting: str
    speaker: Speaker | None
    words: Words | NxtError
    audio: Mapping[str, Member]


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """Two segments per transcribed one: on the speaker's headset and on the table microphone.

    Raises `ShardError` if `meetings.xml`, the table of speakers, cannot be read.
    """
    audio = {PurePosixPath(member.name).stem: member for member in raw.members(".wav")}
    words = {PurePosixPath(member.name).stem: member for member in raw.members(".words.xml")}
    by_agent = _speakers(raw)
    for transcript in raw.members(".segments.xml"):
        match = _FILE.fullmatch(PurePosixPath(transcript.name).stem)
        if match is None:
            continue
        meeting, agent = match.groups()
        try:
            transcribed = list(segments(raw.read(transcript)))
        except NxtError as error:
            row = quarantined(f"{meeting}.{agent}", "unreadable_annotation", str(error))
            yield from (Unplanned(split=split, row=row) for split in _splits_of(meeting))
            continue
        participant = _Participant(
            meeting,
            by_agent.get((meeting, agent)),
            _words(raw, words.get(f"{meeting}.{agent}.words")),
            audio,
        )
        for number, segment in enumerate(transcribed, start=1):
            for split in _splits_of(meeting):
                yield _item(participant, segment, split, f"{meeting}.{agent}:{number}")


def _splits_of(meeting: str) -> tuple[str, ...]:
    """The splits of both microphones; for unknown meetings, the one in which they are dropped."""
    part = PART_OF_MEETING.get(meeting)
    return ("ihm-train",) if part is None else (f"ihm-{part}", f"sdm-{part}")


def _speakers(raw: Raw) -> dict[tuple[str, str], Speaker]:
    by_agent: dict[tuple[str, str], Speaker] = {}
    for member in raw.members("meetings.xml"):
        try:
            by_agent |= speakers(raw.read(member))
        except NxtError as error:
            raise ShardError(f"{member.name} cannot be read: {error}") from error
    return by_agent


def _words(raw: Raw, member: Member | None) -> Words | NxtError:
    if member is None:
        return NxtError("there is no words file")
    try:
        return Words(raw.read(member))
    except NxtError as error:
        return error


def _item(
    participant: _Participant, segment: NxtSegment, split: str, place: str
) -> Segment | Unplanned:
    """A segment on one microphone; `place` is the id of one that has none."""

    def rejected(row: Rejected) -> Unplanned:
        return Unplanned(split=split, row=row)

    if participant.meeting not in PART_OF_MEETING:
        return rejected(dropped(place, "not_in_a_split", participant.meeting))
    if participant.speaker is None:
        return rejected(quarantined(place, "unknown_speaker", "not in meetings.xml"))
    if not (_TIME.fullmatch(segment.start) and _TIME.fullmatch(segment.end)):
        times = f"from {segment.start!r} to {segment.end!r}"
        return rejected(quarantined(place, "malformed_segment", times))
    start_s, end_s = float(segment.start), float(segment.end)
    name, headset = participant.speaker.name, participant.speaker.channel
    microphone = f"H{headset:02d}" if split in _IHM else "SDM"
    start_cs, end_cs = (int(100 * time_s + 0.5) for time_s in (start_s, end_s))
    row_id = f"AMI_{participant.meeting}_{microphone}_{name}_{start_cs:07d}_{end_cs:07d}"
    if end_s <= start_s:
        return rejected(quarantined(row_id, "reversed_times", f"{start_s} to {end_s} s"))
    try:
        text = _text(participant.words, segment)
    except NxtError as error:
        return rejected(quarantined(row_id, "unreadable_annotation", str(error)))
    if not text:
        return rejected(dropped(row_id, "no_words"))
    recording = f"{participant.meeting}.{f'Headset-{headset}' if split in _IHM else 'Array1-01'}"
    if recording not in participant.audio:
        return rejected(quarantined(row_id, "no_audio", f"{recording}.wav"))
    return checked_segment(
        id=row_id,
        split=split,
        recording_id=participant.meeting,
        speaker_id=name,
        audio=participant.audio[recording],
        raw_text=text,
        start_s=start_s,
        end_s=end_s,
    )


def _text(words: Words | NxtError, segment: NxtSegment) -> str:
    if isinstance(words, NxtError):
        raise words
    return words.text(segment.hrefs)


def clean(raw_text: str) -> str | NoReference:
    """The reference: abbreviations joined, word fragments removed.

    >>> clean("So the rem- the L_C_D_ and two P_D_A_s, mm-hmm.")
    'So the the LCD and two PDAs, mm-hmm.'
    """
    text = " ".join(_FRAGMENT.sub(" ", raw_text).split())
    if raw_text and not any(map(str.isalnum, text)):
        return NoReference("no_whole_word")
    return _SPELT.sub(lambda match: match[0].replace("_", ""), text)


SPLITS: Final[dict[str, Role]] = {**_IHM, **_SDM}
# dev, test: estimated from the number of segments
_HOURS: Final = {"train": 79.0, "dev": 9.5, "test": 9.2}
_HOW: Final = (
    "on https://groups.inf.ed.ac.uk/ami/download/ select the meetings and signals (individual"
    " headsets for IHM, Array1-01 of the microphone array for SDM), run the generated wget script,"
    " and unpack the manual annotations, ami_public_manual_1.6.2.zip, beside amicorpus/"
)


def _signals(title: str, pattern: str, splits: dict[str, Role]) -> Delivery:
    return Delivery(
        name=f"AMI {title}",
        title=f"AMI Meeting Corpus, {title}",
        files=(pattern,),
        expected=(Expected(pattern=pattern, what=f"recordings of the {title}"),),
        how=_HOW,
        splits=tuple(splits),
    )


AMI: Final = Corpus(
    name="ami",
    form="release",
    title="AMI Meeting Corpus",
    homepage="https://groups.inf.ed.ac.uk/ami/corpus/",
    licence=Licence(name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True),
    revision="manual-1.6.2",
    sources=(
        Delivery(
            name="AMI manual annotations",
            title="AMI Meeting Corpus, ami_public_manual_1.6.2",
            files=("*meetings.xml", "*words/*.words.xml", "*segments/*.segments.xml"),
            expected=(
                Expected(pattern="*meetings.xml", what="the table of speakers"),
                Expected(pattern="*words/*.words.xml", what="the words of a speaker in a meeting"),
                Expected(
                    pattern="*segments/*.segments.xml",
                    what="the segments of a speaker in a meeting",
                ),
            ),
            how=_HOW,
        ),
        _signals("headsets", "*.Headset-?.wav", _IHM),
        _signals("table microphone", "*.Array1-01.wav", _SDM),
    ),
    splits=SPLITS,
    hours={split: _HOURS[split.partition("-")[2]] for split in SPLITS},
    mean_utterance_s=2.6,
    paper_hours=100,
    read=read,
    clean=clean,
    examples={
        "So the L_C_D_ and two P_D_A_s, mm-hmm.": "So the LCD and two PDAs, mm-hmm.",
        "X_M_L is an abbreviation, I am not.": "XML is an abbreviation, I am not.",
        "Put it on the t_v_.": "Put it on the tv.",
        "Hi, I'm the industr-, designer of colours -": "Hi, I'm the designer of colours",
        "Th- .": NoReference("no_whole_word"),
    },
    notes=(
        "The splits are those of the full corpus for speech recognition, with IB4005 in train.",
        "SDM has the references of IHM: where two people speak at once, the same audio has two"
        " references.",
        "Ids have the format of Kaldi and the Hub, but segments are those of the transcribers, not"
        " cut at punctuation to 30 words: most ids and counts differ.",
        "Two meetings (probably IS1003b and IS1007d) have no Array1-01: their segments are"
        " quarantined as no_audio in SDM.",
    ),
)

"""Earnings-21 and Earnings-22 (Rev): whole earnings calls with tables of words."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from storage.outcome import quarantined
from tasks.corpora.base import (
    UNDECODABLE,
    Corpus,
    Licence,
    Member,
    NoReference,
    Raw,
    Segment,
    Unplanned,
    checked_segment,
)
from tasks.corpora.sources import Delivery, Expected
from tasks.corpora.tables import separated_rows

_SPLIT: Final = "test"
_REPOSITORY: Final = "https://github.com/revdotcom/speech-datasets"
_COLUMNS: Final = frozenset({"token", "punctuation"})
_SHOWN_CHARS: Final = 80

# sounds that are not words, with the punctuation after them
_TAG = re.compile(
    r"<(?:inaudible|unk|crosstalk|laugh|silence|affirmative|foreign|phonetic|cough|clear_throat)>"
    r"\S*"
)


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per call: the whole recording, with all words as the reference."""
    audio = {PurePosixPath(member.name).stem: member for member in raw.members(".mp3")}
    for transcript in raw.members(".nlp"):
        call = PurePosixPath(transcript.name).stem
        yield _item(raw, transcript, call, audio.get(call))


def _item(raw: Raw, transcript: Member, call: str, audio: Member | None) -> Segment | Unplanned:
    """A call; it is quarantined if any line is malformed, since the reference would have a gap."""
    if audio is None:
        return Unplanned(split=_SPLIT, row=quarantined(call, "no_audio", f"{call}.mp3"))
    words: list[str] = []
    for number, line, fields in separated_rows(raw, transcript, "|"):
        if fields is None or UNDECODABLE in line or not fields.keys() >= _COLUMNS:
            detail = f"line {number}: {line[:_SHOWN_CHARS]}"
            return Unplanned(split=_SPLIT, row=quarantined(call, "malformed_line", detail))
        words.append(f"{fields['token'].strip()}{fields['punctuation'].strip()}")
    return checked_segment(
        id=call,
        split=_SPLIT,
        recording_id=call,
        speaker_id=None,
        audio=audio,
        raw_text=" ".join(filter(None, words)),
    )


def clean(raw_text: str) -> str | NoReference:
    """The reference, without tags for unintelligible speech and non-speech sounds.

    >>> clean("Good morning, <laugh>, I mean <inaudible> 20%.")
    'Good morning, I mean 20%.'
    """
    return " ".join(_TAG.sub(" ", raw_text).split())


def _earnings(number: int, hours: float, notes: tuple[str, ...]) -> Corpus:
    folder = f"earnings{number}"
    recordings, transcripts = (
        f"*{folder}/media/*.mp3",
        f"*{folder}/transcripts/nlp_references/*.nlp",
    )
    return Corpus(
        name=folder,
        title=f"Earnings-{number}",
        homepage=f"{_REPOSITORY}/tree/main/{folder}",
        licence=Licence(
            name="CC-BY-SA-4.0",
            commercial_use=True,
            derivatives=True,
            redistribution=True,
            note="for the transcripts; the repository states no licence for the recordings",
        ),
        revision="2f1a8f00bc2b",
        sources=(
            Delivery(
                name=f"speech-datasets/{folder}",
                title=f"Earnings-{number} in a clone of revdotcom/speech-datasets",
                files=(recordings, transcripts),
                expected=(
                    Expected(pattern=recordings, what="recordings of the calls"),
                    Expected(pattern=transcripts, what="tables of their words"),
                ),
                how=(
                    f"git clone --depth 1 --filter=blob:none --sparse {_REPOSITORY}.git &&"
                    f" cd speech-datasets && git sparse-checkout set {folder} && git lfs pull"
                ),
            ),
        ),
        splits={_SPLIT: "test"},
        hours={_SPLIT: hours},
        read=read,
        clean=clean,
        examples={
            "Good morning, <laugh>, I mean <inaudible> 20%.": "Good morning, I mean 20%.",
            "<unk> and <crosstalk>… so <silence>": "and so",
            "Mm-hmm. <affirmative>. Right,": "Mm-hmm. Right,",
            "The word <foreign> or Goizueta <phonetic>.": "The word or Goizueta",
            "<cough> <clear_throat> Q&A": "Q&A",
        },
        notes=notes,
    )


EARNINGS21: Final = _earnings(21, 39.3, ("44 calls.",))

EARNINGS22: Final = _earnings(
    22,
    118.9,
    ("125 calls.", "The recordings are stored with Git LFS: a clone without it has none."),
)

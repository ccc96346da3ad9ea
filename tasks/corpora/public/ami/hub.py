"""AMI as distributed on the Hugging Face Hub: the segments of Kaldi's recipe."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tasks.corpora.base import (
    Corpus,
    NoReference,
    Raw,
    Segment,
    Unplanned,
    checked_segment,
)
from tasks.corpora.public.ami.release import AMI
from tasks.corpora.sources import HubFiles
from tasks.corpora.tables import TEXT, audio_in, parquet_rows

_COLUMNS: Final = dict.fromkeys(("meeting_id", "audio_id", "text", "speaker_id"), TEXT)

# L. C. D., possibly followed by a plural or possessive S
_SPELT = re.compile(r"\b([A-Z]\.(?:\s+[A-Z]\.)*)(\s+'?S\b)?")


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per row of the Parquet files, whose audio is already cut."""
    for file in raw.members(".parquet"):
        microphone, name = PurePosixPath(file.name).parts[-2:]
        part = "dev" if name.startswith("validation") else name.partition("-")[0]
        for number, row in parquet_rows(raw, file, _COLUMNS):
            yield checked_segment(
                id=row["audio_id"],
                split=f"{microphone}-{part}",
                recording_id=row["meeting_id"],
                speaker_id=row["speaker_id"],
                audio=audio_in(file, number),
                raw_text=row["text"] or "",
            )


def clean(raw_text: str) -> str | NoReference:
    """The reference: lower case except for abbreviations, which are joined.

    >>> clean("SO THE L. C. D. MM-HMM")
    'so the LCD mm-hmm'
    """
    text, end = "", 0
    for match in _SPELT.finditer(raw_text):
        letters = "".join(filter(str.isalpha, match[1]))
        suffix = (match[2] or "").strip()
        text += f"{raw_text[end : match.start()].lower()}{letters}{suffix.lower()}"
        end = match.end()
    return text + raw_text[end:].lower()


AMI_HUB: Final = Corpus(
    name="ami",
    form="hub",
    title=AMI.title,
    homepage="https://huggingface.co/datasets/edinburghcstr/ami",
    licence=AMI.licence,
    revision="main",
    sources=(
        HubFiles(
            repo="edinburghcstr/ami",
            revision="main",
            patterns={
                split: (f"{split.replace('-', '/').replace('dev', 'validation')}-*.parquet",)
                for split in AMI.splits
            },
        ),
    ),
    splits=AMI.splits,
    hours=AMI.hours,
    mean_utterance_s=AMI.mean_utterance_s,
    paper_hours=AMI.paper_hours,
    self_contained=True,
    read=read,
    clean=clean,
    examples={
        "SO THE L. C. D. AND TWO P. D. A. S MM-HMM": "so the LCD and two PDAs mm-hmm",
        "I'M THE INDUSTRIAL DESIGNER": "i'm the industrial designer",
        "THE T. V. 'S ON": "the TV's on",
    },
    notes=(
        "The file names, such as ihm/train-00000-of-00011.parquet, are inferred from the page of"
        " the data set, not verified.",
        "Segments are cut at punctuation, upper-case and without punctuation; word fragments are"
        " not marked and remain in the references.",
    ),
)

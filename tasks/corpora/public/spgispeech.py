"""SPGISpeech: earnings calls, cut to 5 to 15 s, with fully formatted transcripts.

For evaluation only: `dev` and `test` of the data set on the Hub.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from storage.outcome import quarantined
from tasks.corpora.base import (
    UNDECODABLE,
    Corpus,
    Licence,
    Member,
    Raw,
    Segment,
    Unplanned,
    checked_segment,
    malformed,
)
from tasks.corpora.sources import HubFiles
from tasks.corpora.tables import separated_rows

_COLUMNS: Final = ("wav_filename", "transcript")
_SPLITS: Final = {"dev": "validation", "test": "test"}


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per line of `dev.csv` and `test.csv`: `wav_filename|wav_filesize|transcript`.

    A `wav_filename` is `<call>/<number>.wav`, at any depth of the tar file.
    """
    audio = {_call_and_number(member.name): member for member in raw.members(".wav")}
    for table in raw.members(".csv"):
        if (split := _SPLITS.get(PurePosixPath(table.name).stem)) is None:
            continue
        for number, line, fields in separated_rows(raw, table, "|", columns=_COLUMNS):
            if fields is None or UNDECODABLE in line:
                yield malformed(split, table, number, line)
            else:
                yield _segment(split, audio, fields)


def _call_and_number(path: str) -> tuple[str, ...]:
    """The last two parts of a path: the digest of the call and the slice."""
    return PurePosixPath(path).parts[-2:]


def _segment(
    split: str, audio: dict[tuple[str, ...], Member], fields: dict[str, str]
) -> Segment | Unplanned:
    name = fields["wav_filename"]
    call, slice_id = PurePosixPath(name).parent.name, PurePosixPath(name).stem
    utterance_id = f"{call}_{slice_id}"
    member = audio.get(_call_and_number(name))
    if member is None:
        return Unplanned(split=split, row=quarantined(utterance_id, "no_audio", name))
    return checked_segment(
        id=utterance_id,
        split=split,
        recording_id=call,
        speaker_id=None,
        audio=member,
        raw_text=fields["transcript"],
    )


def clean(raw_text: str) -> str:
    """The reference; transcripts are formatted text without tags.

    >>> clean("Revenue grew 4.5%,  didn't it? ")
    "Revenue grew 4.5%, didn't it?"
    """
    return " ".join(raw_text.split())


SPGISPEECH: Final = Corpus(
    name="spgispeech",
    title="SPGISpeech",
    homepage="https://datasets.kensho.com/datasets/spgispeech",
    hours={"validation": 100.0, "test": 100.0},
    licence=Licence(
        name="Kensho user agreement",
        commercial_use=False,
        derivatives=False,
        redistribution=False,
        to_sign="Kensho's terms, on the Hub with an account",
        note="free for non-commercial use; the full agreement was not reviewed",
    ),
    revision="main",
    sources=(
        HubFiles(
            repo="kensho/spgispeech",
            revision="main",
            patterns={
                split: (f"data/meta/{name}.csv", f"data/audio/{name}/*.tar.gz")
                for name, split in _SPLITS.items()
            },
            gated=True,
        ),
    ),
    splits={"validation": "validation", "test": "test"},
    read=read,
    clean=clean,
    examples={
        "Revenue grew 4.5%, didn't it?": "Revenue grew 4.5%, didn't it?",
        "of the -- of the assets ": "of the -- of the assets",
        "": "",
    },
    notes=(
        "For evaluation only: the 5,000 hours of training speech are not included.",
        "Calls have several speakers, who are not identified.",
        "The paths on the Hub are those of 2022; they may have been converted to Parquet since."
        " Kensho's own delivery (train.csv, val.csv) is not supported.",
        "The test set has 39,341 utterances, about 100 hours; the hours of validation are"
        " estimated from the equal number of archives.",
    ),
)

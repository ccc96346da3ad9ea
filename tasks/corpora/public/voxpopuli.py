"""VoxPopuli English (Meta): sessions of the European Parliament as OGG, with a table."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from storage.outcome import dropped, quarantined
from tasks.corpora.base import (
    UNDECODABLE,
    Corpus,
    Licence,
    Member,
    Raw,
    Role,
    Segment,
    Unplanned,
    checked_segment,
    malformed,
)
from tasks.corpora.sources import Archive
from tasks.corpora.tables import separated_rows

_SPLITS: Final[dict[str, Role]] = {"train": "train", "dev": "validation", "test": "test"}
_UNSPLIT: Final = "train"
"""The split in which rows without a valid split are counted."""

_TABLE: Final = "asr_en.tsv"
_COLUMNS: Final = frozenset(
    {"id_", "session_id", "speaker_id", "original_text", "normed_text", "vad", "split"}
)
_SECONDS: Final = r"([0-9]+(?:\.[0-9]*)?(?:e-?[0-9]+)?)"
_PIECE = re.compile(rf"[(\[]\s*{_SECONDS}\s*,\s*{_SECONDS}\s*[)\]]")

Pieces = tuple[tuple[float, float], ...]


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per row of the annotations, with the official utterance id.

    Its audio is the concatenation of the parts of a session with detected voice activity. Rows
    outside the three splits, which the distributor's tool skips, are dropped in `train`.
    """
    sessions = {
        PurePosixPath(member.name).stem.removesuffix("_original"): member
        for member in raw.members(".ogg")
    }
    for table in raw.members(_TABLE):
        for number, line, row in separated_rows(raw, table, "|", columns=_COLUMNS):
            if row is None or UNDECODABLE in line:
                yield malformed(_UNSPLIT, table, number, line)
            elif row["split"] not in _SPLITS:
                unsplit = dropped(_id(row), "not_in_a_split", row["split"])
                yield Unplanned(split=_UNSPLIT, row=unsplit)
            elif pieces := _pieces(row["vad"]):
                yield _segment(row, pieces, sessions)
            else:
                yield malformed(row["split"], table, number, line)


def _id(row: Mapping[str, str]) -> str:
    return f"{row['session_id']}-{row['id_']}"


def _pieces(vad: str) -> Pieces:
    """Parse a Python list of (start, end) pairs in seconds; empty if malformed."""
    if re.sub(r"[\s,]", "", _PIECE.sub("", vad)) != "[]":
        return ()
    return tuple((float(start), float(end)) for start, end in _PIECE.findall(vad))


def _segment(
    row: Mapping[str, str], pieces: Pieces, sessions: Mapping[str, Member]
) -> Segment | Unplanned:
    """The segment of a row; the text is the original one, or the normalised one if empty."""
    is_reversed = any(end_s <= start_s for start_s, end_s in pieces)
    if is_reversed or any(before[1] > after[0] for before, after in pairwise(pieces)):
        reversed_times = quarantined(_id(row), "reversed_times", row["vad"])
        return Unplanned(split=row["split"], row=reversed_times)
    session = row["session_id"]
    if session not in sessions:
        return Unplanned(split=row["split"], row=quarantined(_id(row), "no_audio", session))
    return checked_segment(
        id=_id(row),
        split=row["split"],
        recording_id=session,
        speaker_id=None if row["speaker_id"] in ("", "None") else row["speaker_id"],
        audio=sessions[session],
        raw_text=row["original_text"].strip() or row["normed_text"],
        start_s=pieces[0][0],
        end_s=pieces[-1][1],
        pieces_s=pieces,
    )


def clean(raw_text: str) -> str:
    """The reference; VoxPopuli has no tags.

    >>> clean("Thank you,  Mr President. ")
    'Thank you, Mr President.'
    """
    return " ".join(raw_text.split())


_BASE: Final = "https://dl.fbaipublicfiles.com/voxpopuli"

VOXPOPULI: Final = Corpus(
    name="voxpopuli",
    title="VoxPopuli English",
    homepage="https://github.com/facebookresearch/voxpopuli",
    # 543 published in total; dev and test: rows on the Hub times the mean length, 10.3 s
    hours={"train": 533.0, "dev": 5.0, "test": 5.0},
    mean_utterance_s=10.3,
    paper_hours=540,
    licence=Licence(
        name="CC0-1.0",
        commercial_use=True,
        derivatives=True,
        redistribution=True,
        note=(
            "for the recordings see also the European Parliament's legal notice,"
            " https://www.europarl.europa.eu/legal-notice/en/"
        ),
    ),
    revision="asr-en",
    sources=(
        Archive(url=f"{_BASE}/annotations/asr/{_TABLE}.gz"),
        *(Archive(url=f"{_BASE}/audios/original_{year}.tar") for year in range(2009, 2021)),
    ),
    splits=_SPLITS,
    read=read,
    clean=clean,
    examples={
        "Thank you, Mr President.": "Thank you, Mr President.",
        "thank you mr president": "thank you mr president",
        " Thank you,  Mr President. ": "Thank you, Mr President.",
        "": "",
    },
    notes=(
        "No digests are published: those of the first download are recorded.",
        "The audio archives have the sessions of all languages of 2009 to 2020, many times the 543"
        " hours that are transcribed in English; their size is not published.",
        "Rows without text are kept here and dropped later for their empty reference.",
        "Pauses between the parts of an utterance are removed, as by the distributor's tool.",
    ),
)

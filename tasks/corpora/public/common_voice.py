"""Common Voice 13.0 English (Mozilla): sentences read by volunteers, one MP3 clip each."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from storage.errors import ShardError
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

_SPLITS: Final[dict[str, Role]] = {
    "train": "train",
    "validated": "train",
    "dev": "validation",
    "test": "test",
}
_REST: Final = "validated"
_READ_ORDER: Final = ("test", "dev", "train", _REST)
"""A clip in several tables belongs to the first, so that no held-out clip is trained on."""

_COLUMNS: Final = ("client_id", "path", "sentence")
_ESCAPED = re.compile(r'\\(["\\])')


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per line of `train.tsv`, `dev.tsv` and `test.tsv`, each with its own clip.

    `validated.tsv` repeats these clips; the split of that name contains the others only.
    """
    clips = {PurePosixPath(member.name).stem: member for member in raw.members(".mp3")}
    tables = {PurePosixPath(member.name).name: member for member in raw.members(".tsv")}
    seen: set[str] = set()
    for split in _READ_ORDER:
        if (table := tables.get(f"{split}.tsv")) is None:
            raise ShardError(f"there is no {split}.tsv: not a Common Voice release")
        here: set[str] = set()
        for number, line, row in separated_rows(raw, table, "\t", columns=_COLUMNS):
            if row is None or not row["path"] or UNDECODABLE in line:
                yield malformed(split, table, number, line)
                continue
            clip = row["path"].removesuffix(".mp3")
            here.add(clip)
            if clip not in seen:
                yield _segment(split, clip, clips, row)
            elif split != _REST:
                yield Unplanned(split=split, row=dropped(clip, "in_another_split"))
        seen |= here


def _segment(
    split: str, clip: str, clips: Mapping[str, Member], row: Mapping[str, str]
) -> Segment | Unplanned:
    if clip not in clips:
        return Unplanned(split=split, row=quarantined(clip, "no_audio", f"named in {split}.tsv"))
    return checked_segment(
        id=clip,
        split=split,
        recording_id=clip,
        speaker_id=row["client_id"] or None,
        audio=clips[clip],
        raw_text=row["sentence"],
    )


def clean(raw_text: str) -> str:
    r"""The reference: the sentence without leftover CSV quoting.

    >>> clean('"The ""Ferry"" leaves at noon."')
    'The "Ferry" leaves at noon.'
    >>> clean(r"The \"Ferry\" leaves at noon.")
    'The "Ferry" leaves at noon.'
    """
    text = _ESCAPED.sub(r"\1", raw_text).strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    return " ".join(text.replace('""', '"').split())


_RELEASE: Final = "cv-corpus-13.0-2023-03-09"
_DISTRIBUTOR: Final = "https://mozilladatacollective.com/organization/cmfh0j9o10006ns07jq45h7xk"

COMMON_VOICE: Final = Corpus(
    name="common_voice",
    title="Common Voice 13.0 English",
    homepage="https://commonvoice.mozilla.org",
    # the published numbers of clips times the mean length of all, 5.17 s
    hours={"train": 1456.0, "validated": 923.0, "dev": 23.5, "test": 23.5},
    distributed_gb=82.0,
    mean_utterance_s=5.17,
    paper_hours=2400,
    licence=Licence(
        name="CC0-1.0",
        commercial_use=True,
        derivatives=True,
        redistribution=False,
        to_sign="an account with the Mozilla Data Collective, and its terms",
        note="the recordings are CC0; the terms of the platform forbid hosting copies",
    ),
    revision=_RELEASE,
    sources=(
        Archive(
            url=f"{_DISTRIBUTOR}/{_RELEASE}-en.tar.gz",
            sha256="e9af8ba157ea45d94b98490004b8e7e1b8432414e27be396b27b94e99e284421",
            size_bytes=82_019_442_116,
            by_hand=(
                "since October 2025 it is distributed by the Mozilla Data Collective only: create"
                " an account, accept the terms and request release 13.0 of Common Voice, English"
            ),
        ),
    ),
    splits=_SPLITS,
    read=read,
    clean=clean,
    examples={
        "The ferry leaves at noon.": "The ferry leaves at noon.",
        '"The ferry leaves at noon."': "The ferry leaves at noon.",
        '"The ""Ferry"" leaves at noon."': 'The "Ferry" leaves at noon.',
        'The ""Ferry"" leaves at noon.': 'The "Ferry" leaves at noon.',
        r"The \"Ferry\" leaves at noon.": 'The "Ferry" leaves at noon.',
        r"Either\\or.": r"Either\or.",
        'The "ferry leaves at noon.': 'The "ferry leaves at noon.',
        "The “Ferry” leaves at noon.": "The “Ferry” leaves at noon.",
        '""': "",
    },
    notes=(
        "The split validated is not official: it has the clips of validated.tsv that are not in"
        " train, dev or test. Its speakers may occur in dev and test.",
        "The 2,400 hours of the paper are about those of train and validated together.",
        "It is unknown whether release 13.0 is still available on request.",
        "Common Voice asks its users not to try to identify speakers.",
    ),
)

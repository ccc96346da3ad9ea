"""LibriSpeech (OpenSLR 12) and its excerpt Mini LibriSpeech (OpenSLR 31).

Read audiobooks as whole FLAC files, with upper-case transcripts.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from storage.errors import ShardError
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
    numbered_lines,
)
from tasks.corpora.sources import Archive

_RESOURCES: Final = "https://www.openslr.org/resources"
_ID: Final = re.compile(r"([^-]+)-([^-]+)-[^-]+")
_DEPTH: Final = 4  # <split>/<speaker>/<chapter>/<file>


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per line of each `<speaker>-<chapter>.trans.txt`, each with its own file."""
    audio = {PurePosixPath(member.name).stem: member for member in raw.members(".flac")}
    for transcript in raw.members(".trans.txt"):
        split = _split(transcript)
        for number, line in numbered_lines(raw.read(transcript)):
            utterance_id, _, text = line.partition(" ")
            match = _ID.fullmatch(utterance_id)
            if match is None or UNDECODABLE in line:
                yield malformed(split, transcript, number, line)
                continue
            if utterance_id not in audio:
                row = quarantined(utterance_id, "no_audio", f"named in {transcript.name}")
                yield Unplanned(split=split, row=row)
                continue
            speaker, chapter = match.groups()
            yield checked_segment(
                id=utterance_id,
                split=split,
                recording_id=f"{speaker}-{chapter}",
                speaker_id=speaker,
                audio=audio[utterance_id],
                raw_text=text,
            )


def _split(transcript: Member) -> str:
    """The name of the folder above speaker and chapter."""
    parts = PurePosixPath(transcript.name).parts
    if len(parts) < _DEPTH:
        raise ShardError(
            f"{transcript.name} is not in <split>/<speaker>/<chapter>/: not LibriSpeech"
        )
    return parts[-_DEPTH]


def clean(raw_text: str) -> str:
    """The reference: lower case; LibriSpeech has no tags.

    >>> clean("IT'S A FERRY")
    "it's a ferry"
    """
    return raw_text.lower()


def _archive(split: str, md5: str, size_bytes: int | None = None, resource: int = 12) -> Archive:
    url = f"{_RESOURCES}/{resource}/{split}.tar.gz"
    return Archive(url=url, md5=md5, size_bytes=size_bytes, splits=(split,))


LIBRISPEECH: Final = Corpus(
    name="librispeech",
    title="LibriSpeech",
    homepage="https://www.openslr.org/12",
    hours={
        "train-clean-100": 100.6,
        "train-clean-360": 363.6,
        "train-other-500": 496.7,
        "dev-clean": 5.4,
        "dev-other": 5.3,
        "test-clean": 5.4,
        "test-other": 5.1,
    },
    distributed_gb=61.8,
    mean_utterance_s=12.1,
    paper_hours=960,
    licence=Licence(name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True),
    revision="openslr-12",
    sources=(
        _archive("train-clean-100", "2a93770f6d5c6c964bc36631d331a522", 6_387_309_499),
        _archive("train-clean-360", "c0e676e450a7ff2f54aeade5171606fa"),
        _archive("train-other-500", "d1a0fd59409feb2c614ce4d30c387708"),
        _archive("dev-clean", "42e2234ba48799c1f50f24a7926300a1", 337_926_286),
        _archive("dev-other", "c8d0bcc9cca99d4f8b62fcc847357931"),
        _archive("test-clean", "32fa31d27d2e1cad72775fee3f4849a9", 346_663_984),
        _archive("test-other", "fb5a50374b501bb3bac4815ee91d3135"),
    ),
    splits={
        "train-clean-100": "train",
        "train-clean-360": "train",
        "train-other-500": "train",
        "dev-clean": "validation",
        "dev-other": "validation",
        "test-clean": "test",
        "test-other": "test",
    },
    read=read,
    clean=clean,
    examples={"IT'S A FERRY": "it's a ferry", "THE LAMP WAS LIT": "the lamp was lit"},
)

MINI_LIBRISPEECH: Final = replace(
    LIBRISPEECH,
    name="mini_librispeech",
    title="Mini LibriSpeech",
    homepage="https://www.openslr.org/31",
    # estimated from the sizes of the archives
    hours={"train-clean-5": 5.3, "dev-clean-2": 2.0},
    distributed_gb=0.5,
    paper_hours=None,
    revision="openslr-31",
    sources=(
        _archive("train-clean-5", "5df7d4e78065366204ca6845bb08f490", 332_954_390, resource=31),
        _archive("dev-clean-2", "6d7ab67ac6a1d2c993d050e16d61080d", 126_046_265, resource=31),
    ),
    splits={"train-clean-5": "train", "dev-clean-2": "validation"},
    notes=(
        "An excerpt of train-clean-100 and dev-clean of librispeech: do not train on both.",
        "It has no test split; evaluate on test-clean of librispeech.",
    ),
)

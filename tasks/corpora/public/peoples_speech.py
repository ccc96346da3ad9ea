"""The People's Speech, `clean`: mixed public speech in FLAC utterances, lower-case transcripts.

The data set on the Hub has Parquet files with embedded audio; the earlier release has one line of
JSON per recording and one file per utterance.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final

from storage.outcome import quarantined
from tasks.corpora.base import (
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
from tasks.corpora.sources import Delivery, Expected, HubFiles
from tasks.corpora.tables import NUMBER, TEXT, audio_in, parquet_rows
from tasks.corpora.validity import MAX_S

_SPLITS: Final[dict[str, Role]] = {"train": "train", "validation": "validation", "test": "test"}
_RELEASED: Final = {"clean": "train", "validation": "validation", "test": "test"}
_COLUMNS: Final = {"id": TEXT, "duration_ms": NUMBER, "text": TEXT}
_FOLDER: Final = re.compile(r"(.+?)(?:/|_SLASH_)")  # the slash is spelt out in ids on the Hub


def read_hub(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per row of each `<split>-*.parquet`; the audio is not read here."""
    for file in raw.members(".parquet"):
        split = PurePosixPath(file.name).name.partition("-")[0]
        for number, row in parquet_rows(raw, file, _COLUMNS):
            if row["id"] is None or row["text"] is None:
                yield malformed(split, file, number, f"id {row['id']!r}, text {row['text']!r}")
                continue
            folder = _FOLDER.match(row["id"])
            yield checked_segment(
                id=row["id"],
                split=split,
                recording_id=folder.group(1) if folder else row["id"],
                speaker_id=None,
                audio=replace(audio_in(file, number), duration_s=_seconds(row["duration_ms"])),
                raw_text=row["text"],
            )


def read_release(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per name in `training_data` of each line of `<folder>/<subset>.json`.

    A line is a recording with lists of equal length; the order of its keys varies. The names are
    paths below `<folder>/<subset>/`.
    """
    audio = {member.name: member for member in raw.members(".flac")}
    for metadata in raw.members(".json"):
        folder = PurePosixPath(metadata.name).with_suffix("")
        if (split := _RELEASED.get(folder.name)) is None:
            continue
        with raw.open(metadata) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                utterances = _utterances(line)
                if utterances is None:
                    yield malformed(split, metadata, number, line.decode(errors="replace").strip())
                    continue
                recording_id, rows = utterances
                for name, label, duration_ms in rows:
                    file = audio.get(str(folder / name))
                    yield _segment(split, recording_id, name, label, duration_ms, file)


def _utterances(line: bytes) -> tuple[str, list[tuple[str, str, float]]] | None:
    """Identifier and (name, label, duration in ms) of a recording; None for a malformed line."""
    try:
        recording: Any = json.loads(line)
        identifier, data = recording["identifier"], recording["training_data"]
        rows = list(zip(data["name"], data["label"], data["duration_ms"], strict=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_valid = all(
        isinstance(name, str) and isinstance(label, str) and isinstance(duration_ms, int | float)
        for name, label, duration_ms in rows
    )
    return (identifier, rows) if isinstance(identifier, str) and is_valid else None


def _segment(
    split: str, recording_id: str, name: str, label: str, duration_ms: float, file: Member | None
) -> Segment | Unplanned:
    utterance_id = str(PurePosixPath(name))  # removes the ./ at the start of some names
    if file is None:
        return Unplanned(split=split, row=quarantined(utterance_id, "no_audio", name))
    return checked_segment(
        id=utterance_id,
        split=split,
        recording_id=recording_id,
        speaker_id=None,
        audio=replace(file, duration_s=_seconds(duration_ms)),
        raw_text=label,
    )


def _seconds(duration_ms: float | None) -> float | None:
    """An estimate for the plan; the actual duration is known after decoding."""
    return duration_ms / 1000 if duration_ms and 0 < duration_ms <= 1000 * MAX_S else None


def clean(raw_text: str) -> str:
    """The reference; transcripts have no tags, are lower case and mostly without punctuation.

    >>> clean("we will  now hear ")
    'we will now hear'
    """
    return " ".join(raw_text.split())


_EXAMPLES: Final[Mapping[str, str]] = {
    "we will now hear": "we will now hear",
    "thank you  mister chair ": "thank you mister chair",
    "": "",
}
_LICENCE: Final = Licence(
    name="CC-BY and CC-BY-SA, by item",
    commercial_use=True,
    derivatives=True,
    redistribution=True,
    note="each item has one of CC-BY-2.0, 2.5, 3.0, 4.0 and CC-BY-SA-3.0, 4.0, but rows do not"
    " state which; some are share-alike",
)
_MEAN_S: Final = 13.8
_HELD_OUT_HOURS: Final = {
    "validation": round(18_622 * _MEAN_S / 3600, 1),
    "test": round(34_898 * _MEAN_S / 3600, 1),
}

PEOPLES_SPEECH: Final = Corpus(
    name="peoples_speech",
    form="hub",
    title="The People's Speech (clean)",
    homepage="https://mlcommons.org/datasets/peoples-speech/",
    # number of rows on the Hub times the mean length of an utterance
    hours={"train": round(1_501_271 * _MEAN_S / 3600, 1), **_HELD_OUT_HOURS},
    mean_utterance_s=_MEAN_S,
    paper_hours=12_000,
    distributed_gb=401.6,
    licence=_LICENCE,
    revision="main",
    sources=(
        HubFiles(
            repo="MLCommons/peoples_speech",
            revision="main",
            patterns={split: (f"clean/{split}-*.parquet",) for split in _SPLITS},
        ),
    ),
    splits=_SPLITS,
    self_contained=True,
    read=read_hub,
    clean=clean,
    examples=_EXAMPLES,
    notes=(
        "The paper counts 12,000 hours of clean; the copy on the Hub has 1.5 million utterances,"
        " about 5,755 hours. It is unknown whether the rest is missing there.",
        "Transcripts were aligned automatically: many do not match their audio.",
        "Speakers are not identified; the recording is the folder in the id of an utterance.",
        "distributed_gb is that of train; hours assume a mean of 13.8 s per row.",
    ),
)

PEOPLES_SPEECH_RELEASE: Final = replace(
    PEOPLES_SPEECH,
    form="release",
    hours={"train": 12_000.0, **_HELD_OUT_HOURS},
    distributed_gb=None,
    revision="v1.0",
    sources=(
        Delivery(
            name="peoples_speech_v1.0",
            title="The People's Speech 1.0",
            files=tuple(
                pattern
                for subset, split in _RELEASED.items()
                for pattern in (f"*{split}/{subset}.json", f"*{split}/{subset}/*.flac")
            ),
            expected=(
                Expected(pattern="*train/clean.json", what="the table of the training set"),
                Expected(
                    pattern="*train/clean/*.flac",
                    what="its utterances, extracted from the tar files",
                ),
            ),
            how="download the folders train, validation and test of the data set"
            " MLCommons/peoples_speech_v1.0 from the Hugging Face Hub, and extract each tar file of"
            " train/clean, validation/validation and test/test in place",
        ),
    ),
    self_contained=False,
    read=read_release,
)

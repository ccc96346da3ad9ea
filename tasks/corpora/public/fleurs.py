"""FLEURS, English (`en_us`): sentences from Wikipedia read aloud, WAV files with tables.

For evaluation only: `dev` and `test`.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from storage.outcome import quarantined
from tasks.corpora.base import (
    UNDECODABLE,
    Corpus,
    Licence,
    Raw,
    Segment,
    Unplanned,
    checked_segment,
    malformed,
)
from tasks.corpora.sources import HubFiles
from tasks.corpora.tables import separated_rows

_REVISION: Final = "70bb2e84b976b7e960aa89f1c648e09c59f894dd"
_SPLITS: Final = {"dev": "validation", "test": "test"}
_HEADER: Final = (
    "sentence",
    "file",
    "raw_transcription",
    "transcription",
    "characters",
    "num_samples",
    "gender",
)


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per line of `dev.tsv` and `test.tsv`, which have no header.

    Several people read each sentence, so the file name, not the sentence, identifies an utterance.
    """
    audio = {_folder_and_file(member.name): member for member in raw.members(".wav")}
    for table in raw.members(".tsv"):
        folder = PurePosixPath(table.name).stem
        if (split := _SPLITS.get(folder)) is None:
            continue
        for number, line, fields in separated_rows(raw, table, "\t", header=_HEADER):
            if fields is None or UNDECODABLE in line:
                yield malformed(split, table, number, line)
                continue
            file = fields["file"]
            utterance_id = PurePosixPath(file).stem
            member = audio.get((folder, file))
            if member is None:
                row = quarantined(utterance_id, "no_audio", f"{folder}/{file}")
                yield Unplanned(split=split, row=row)
                continue
            yield checked_segment(
                id=utterance_id,
                split=split,
                recording_id=utterance_id,
                speaker_id=None,
                audio=member,
                raw_text=fields["raw_transcription"],
            )


def _folder_and_file(path: str) -> tuple[str, ...]:
    """The last two parts of a path: folder of the split and file name."""
    return PurePosixPath(path).parts[-2:]


def clean(raw_text: str) -> str:
    """The reference: the sentence as shown to the reader; there are no tags.

    >>> clean('He said: "It is 4.5  km."')
    'He said: "It is 4.5 km."'
    """
    return " ".join(raw_text.split())


FLEURS: Final = Corpus(
    name="fleurs",
    title="FLEURS (en_us)",
    homepage="https://huggingface.co/datasets/google/fleurs",
    hours={"validation": 1.0, "test": 1.7},
    licence=Licence(name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True),
    revision=_REVISION,
    sources=(
        HubFiles(
            repo="google/fleurs",
            revision=_REVISION,
            patterns={
                split: (f"data/en_us/{name}.tsv", f"data/en_us/audio/{name}.tar.gz")
                for name, split in _SPLITS.items()
            },
        ),
    ),
    splits={"validation": "validation", "test": "test"},
    read=read,
    clean=clean,
    examples={
        'He said: "It is 4.5  km."': 'He said: "It is 4.5 km."',
        "Don't be late.": "Don't be late.",
        "": "",
    },
    notes=(
        "For evaluation only: the training split is not included.",
        "Speakers are not identified.",
        "References are the raw transcriptions, with capitals, punctuation and digits.",
        "Hours are estimates; test has 647 utterances of about 9.6 s on average.",
    ),
)

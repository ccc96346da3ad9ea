"""A source on disk: a table, or a folder with tables or with a text beside each audio file."""

import os
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Final

from configs.schema import Columns
from flows.init.durations import durations_of
from flows.init.source import Source, Speech
from flows.init.splits import split_of, splits_of_audio
from flows.init.table import inspect_tables, mirror_of_table
from storage.errors import UserError
from tasks.corpora.local.corpus import transcribed_audio
from tasks.corpora.local.rows import AUDIO_SUFFIXES, PARQUET, stem_of, suffix_of

TABLES: Final = (".jsonl", ".ndjson", PARQUET)
"""The suffixes of files that are taken for tables; other JSON may be anything."""

_TEXT: Final = ".txt"


def inspect_path(path: Path, name: str | None = None) -> Source:
    """What a table or a folder holds; raises `UserError` where that is nothing to learn from."""
    absolute = path.expanduser().absolute()
    if absolute.is_file():
        if suffix_of(absolute.name) not in (*TABLES, ".json"):
            raise UserError(
                f"{path} is no table; expected {', '.join(TABLES)}, or the folder of the audio"
            )
        mirror, table = mirror_of_table(absolute)
        stem = absolute.parent.name if split_of(absolute.stem) == absolute.stem else absolute.stem
        return inspect_tables(mirror, [table], name or name_of(stem))
    if not absolute.is_dir():
        raise UserError(
            f"{path} is neither a file nor a folder, and no data set such as owner/name"
        )
    files = sorted(
        os.path.relpath(os.path.join(folder, file), absolute).replace(os.sep, "/")
        for folder, _, names in os.walk(absolute)
        for file in names
    )
    called = name or name_of(absolute.name)
    tables = [file for file in files if suffix_of(file) in TABLES]
    if not tables:
        return _audio(absolute, files, called)
    found = inspect_tables(absolute, tables, called)
    if with_text := transcribed_audio(files):
        remark = (
            f"{len(with_text)} audio files have a text beside them, such as {with_text[0]}; they"
            " are used only where a table names them, with its text."
        )
        return replace(found, remarks=(*found.remarks, remark))
    return found


def name_of(text: str) -> str:
    """A name that a configuration may have.

    >>> name_of("My calls (2024)"), name_of("...")
    ('My-calls-2024', 'speech')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "speech"


def _audio(mirror: Path, files: list[str], name: str) -> Source:
    """A folder of audio files, with or without texts."""
    audio = [file for file in files if suffix_of(file) in AUDIO_SUFFIXES]
    if not audio:
        raise UserError(
            f"{mirror} holds neither audio ({', '.join(AUDIO_SUFFIXES)}) nor a table"
            f" ({', '.join(TABLES)})"
        )
    texts = {stem_of(file) for file in files if suffix_of(file) == _TEXT}
    num_with_text = sum(stem_of(file) in texts for file in audio)
    measured = durations_of([mirror / file for file in audio])
    if not measured:
        raise UserError(
            f"no header of an audio file below {mirror} can be read, {audio[0]} neither"
        )
    mean_s = statistics.fmean(measured.values())
    speech = [Speech(stem_of(file), measured.get(place)) for place, file in enumerate(audio)]
    remarks = []
    if len(measured) < len(audio):
        remarks.append(f"The headers of {len(measured)} of {len(audio)} files were read.")
    if 0 < num_with_text < len(audio):
        remarks.append(f"{len(audio) - num_with_text} of {len(audio)} files have no text.")
    if without_audio := sorted(texts - {stem_of(file) for file in audio}) if num_with_text else []:
        remarks.append(
            f"{len(without_audio)} texts have no audio beside them, such as"
            f" {without_audio[0]}{_TEXT}."
        )
    splits = splits_of_audio(audio)
    hours = dict.fromkeys(splits, 0.0)
    for file, one in zip(audio, speech, strict=True):
        hours[split_of(file)] += (one.duration_s or mean_s) / 3600
    return Source(
        name=name,
        title=name,
        mirror=str(mirror),
        splits=splits,
        columns=Columns(text="text" if num_with_text else None),
        hours=hours,
        basis="headers" if len(measured) == len(audio) else "sample",
        num_rows=len(audio),
        mean_duration_s=mean_s,
        longest_s=max(measured.values()),
        train=tuple(
            one
            for file, one in zip(audio, speech, strict=True)
            if splits[split_of(file)].role == "train"
        ),
        remarks=tuple(remarks),
    )

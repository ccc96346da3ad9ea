"""GigaSpeech, subset L: audiobooks, podcasts and YouTube, upper-case transcripts with tags.

The data set on the Hub has Parquet files with cut segments; the release has whole recordings in
Opus and one large JSON file with their segments.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Final

import ijson

from storage.errors import ShardError
from storage.outcome import quarantined
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
    malformed,
)
from tasks.corpora.sources import Delivery, Expected, HubFiles
from tasks.corpora.tables import NUMBER, TEXT, audio_in, parquet_rows
from tasks.corpora.validity import MAX_S, is_number, shown

_SPLITS: Final[dict[str, Role]] = {"l": "train", "dev": "validation", "test": "test"}
_SUBSETS: Final = {"{L}": "l", "{DEV}": "dev", "{TEST}": "test"}
_UNSPLIT: Final = "l"
"""The split in which entries of unknown subsets are counted."""

_MAX_OPEN_BRACKETS: Final = 5_000  # some in texts, where they need not be balanced
_UNKNOWN_SPEAKERS: Final = (None, "", "N/A")
_COLUMNS: Final = {
    **dict.fromkeys(("segment_id", "speaker", "text", "audio_id"), TEXT),
    **dict.fromkeys(("begin_time", "end_time"), NUMBER),
}

_MARKS: Final = {"<COMMA>": ",", "<PERIOD>": ".", "<QUESTIONMARK>": "?", "<EXCLAMATIONPOINT>": "!"}
_GARBAGE: Final = frozenset({"<SIL>", "<MUSIC>", "<NOISE>", "<OTHER>"})


def read_hub(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per row of each `<split>/*.parquet`, whose audio is already cut."""
    for file in raw.members(".parquet"):
        split = PurePosixPath(file.name).parent.name
        for number, row in parquet_rows(raw, file, _COLUMNS):
            if any(row[key] is None for key in ("segment_id", "text", "audio_id")):
                yield malformed(split, file, number, f"segment {row['segment_id']!r}")
                continue
            begin_s, end_s = row["begin_time"] or 0.0, row["end_time"] or 0.0
            duration_s = end_s - begin_s if end_s > begin_s else None
            yield checked_segment(
                id=row["segment_id"],
                split=split,
                recording_id=row["audio_id"],
                speaker_id=_speaker(row["speaker"]),
                audio=replace(audio_in(file, number), duration_s=duration_s),
                raw_text=row["text"],
            )


def read_release(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per entry of `GigaSpeech.json` in the subsets L, DEV or TEST.

    The subsets of the segment count, not those of its recording; other segments are not part of
    this corpus and are skipped without a record. An end after that of the recording is kept as
    annotated. Raises `ShardError` if the file is incomplete.
    """
    recordings = {PurePosixPath(member.name).stem: member for member in raw.members(".opus")}
    for metadata in raw.members("GigaSpeech.json"):
        for number, (aid, entry) in enumerate(_entries(raw, metadata), start=1):
            if (split := _split_of(entry)) is not None:
                item = _segment(split, aid, recordings.get(aid), entry)
                yield item or malformed(split, metadata, number, f"{aid}: {shown(entry)}")


def _entries(raw: Raw, metadata: Member) -> Iterator[tuple[str, object]]:
    """Recording name and entry of each segment; the file has gigabytes and is streamed.

    A recording without these is an entry itself. Raises `ShardError` if there is no other, or the
    file ends early.
    """
    what = f"{metadata.name} is incomplete, or not that of GigaSpeech"
    has_segments = False
    with raw.open(metadata) as file:
        try:
            for recording in ijson.items(_Shallow(file), "audios.item", use_float=True):
                fields = recording if isinstance(recording, dict) else {}
                aid, entries = fields.get("aid"), fields.get("segments")
                if isinstance(aid, str) and isinstance(entries, list):
                    has_segments = True
                    yield from ((aid, entry) for entry in entries)
                else:
                    yield shown(aid), [recording]
        except (ijson.JSONError, ValueError, OverflowError, RecursionError) as error:
            raise ShardError(what) from error
    if not has_segments:
        raise ShardError(what)


class _Shallow:
    """A JSON file; raises `ValueError` if far more brackets are opened than closed.

    ijson needs memory and time that grow with the square of the depth.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._num_open = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._num_open += data.count(b"[") + data.count(b"{") - data.count(b"]") - data.count(b"}")
        if self._num_open > _MAX_OPEN_BRACKETS:
            raise ValueError(f"{self._num_open} brackets are open")
        return data


def _split_of(entry: object) -> str | None:
    """The split of an entry, `l` if it has no list of subsets; None if it is in none of ours."""
    subsets = (entry.get("subsets") or []) if isinstance(entry, Mapping) else None
    if not isinstance(subsets, list):
        return _UNSPLIT
    names = (name for name in subsets if isinstance(name, str))
    return next((_SUBSETS[name] for name in names if name in _SUBSETS), None)


def _segment(
    split: str, aid: str, audio: Member | None, entry: object
) -> Segment | Unplanned | None:
    """The segment of an entry; None if a field is missing."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("subsets"), list):
        return None
    sid, text = entry.get("sid"), entry.get("text_tn")
    begin_s, end_s = entry.get("begin_time"), entry.get("end_time")
    if not (isinstance(sid, str) and isinstance(text, str)):
        return None
    if not (is_number(begin_s) and is_number(end_s) and max(begin_s, end_s) <= MAX_S):
        return None
    if end_s <= begin_s or begin_s < 0:
        row = quarantined(sid, "reversed_times", f"{begin_s} to {end_s} s")
        return Unplanned(split=split, row=row)
    if audio is None:
        return Unplanned(split=split, row=quarantined(sid, "no_audio", aid))
    return checked_segment(
        id=sid,
        split=split,
        recording_id=aid,
        speaker_id=_speaker(entry.get("speaker")),
        audio=audio,
        raw_text=text,
        start_s=float(begin_s),
        end_s=float(end_s),
    )


def _speaker(name: Any) -> Any:
    """None for an unknown speaker; a `Segment` checks the type of others."""
    return None if name in _UNKNOWN_SPEAKERS else name


def clean(raw_text: str) -> str | NoReference:
    """The reference: lower case, with punctuation in place of punctuation tags.

    Utterances with a non-speech tag among the words are dropped, since the tag may hide words that
    were not transcribed.

    >>> clean("WELL <COMMA> THAT IS NEW <PERIOD>")
    'well, that is new.'
    >>> clean("<MUSIC>")
    NoReference(reason='no_speech')
    >>> clean("THAT IS <NOISE> NEW <PERIOD>")
    NoReference(reason='garbage_tag')
    """
    words: list[str] = []
    has_garbage = False
    for token in raw_text.split():
        tag = token.upper()
        if tag in _GARBAGE:
            has_garbage = True
        elif tag not in _MARKS:
            words.append(token.lower())
        elif words:
            words[-1] += _MARKS[tag]
    if has_garbage:
        return NoReference("garbage_tag" if words else "no_speech")
    return " ".join(words)


_EXAMPLES: Final[Mapping[str, str | NoReference]] = {
    "WELL <COMMA> THAT IS NEW <PERIOD>": "well, that is new.",
    "IS IT <QUESTIONMARK> YES <EXCLAMATIONPOINT>": "is it? yes!",
    "<COMMA> AND THEN IT'S GONE": "and then it's gone",
    "<SIL>": NoReference("no_speech"),
    "<MUSIC>": NoReference("no_speech"),
    "<NOISE>": NoReference("no_speech"),
    "<OTHER>": NoReference("no_speech"),
    "<SIL> <PERIOD>": NoReference("no_speech"),
    "SO <OTHER> WE BEGIN <PERIOD>": NoReference("garbage_tag"),
    "<PERIOD>": "",
    "": "",
}
_NOTES: Final = (
    "SpeechColab does not own the audio; it may be shared with associates who accept the same"
    " terms.",
    "The scorer of the corpus also ignores uh, uhh, um, eh, mm, hm, ah, huh, ha and er.",
)

GIGASPEECH: Final = Corpus(
    name="gigaspeech",
    form="hub",
    title="GigaSpeech (L)",
    homepage="https://github.com/SpeechColab/GigaSpeech",
    hours={"l": 2_500.0, "dev": 12.0, "test": 40.0},
    mean_utterance_s=4.0,
    paper_hours=2_500,
    licence=Licence(
        name="GigaSpeech terms of access",
        commercial_use=False,
        derivatives=False,
        redistribution=False,
        to_sign="the terms of access: on the Hub with an account, or by SpeechColab's form",
        note="non-commercial research and education only; the terms do not mention derived works",
    ),
    revision="main",
    sources=(
        HubFiles(
            repo="speechcolab/gigaspeech",
            revision="main",
            # "*/train-*" would match the files of other subsets
            patterns={
                "l": ("l/train-*.parquet",),
                "dev": ("dev/validation-*.parquet",),
                "test": ("test/test-*.parquet",),
            },
            gated=True,
        ),
    ),
    splits=_SPLITS,
    self_contained=True,
    speaker_ids="recording",  # nearly all are unknown, and nothing is published about the others
    read=read_hub,
    clean=clean,
    examples=_EXAMPLES,
    notes=(
        *_NOTES,
        "The data set on the Hub has been Parquet since 2026. The file names were not verified;"
        " they follow the convention of the Hub, subset/split-number.",
        "It was not verified whether l/train has all of L, or only what is not in M.",
    ),
)

GIGASPEECH_RELEASE: Final = replace(
    GIGASPEECH,
    form="release",
    revision="v1.0.0",
    sources=(
        Delivery(
            name="GigaSpeech",
            title="GigaSpeech 1.0.0",
            files=("*GigaSpeech.json", "*.opus"),
            expected=(
                Expected(pattern="*GigaSpeech.json", what="the segments of all recordings"),
                Expected(pattern="*audio/*/*.opus", what="the recordings"),
            ),
            how="fill in the form linked from https://github.com/SpeechColab/GigaSpeech and"
            " download GigaSpeech.json and the folder audio with the script provided there",
        ),
    ),
    self_contained=False,
    read=read_release,
    notes=(
        *_NOTES,
        "GigaSpeech.json of version 1.0.0 has the MD5 19c777dc296ff3eb714bc677a80620a3, and lists"
        " the MD5 of each recording.",
        "The distributor recommends more than 500 GB of free space.",
    ),
)

"""Corpora described by a `local` block of the configuration, without code.

Their splits are path patterns: audio files with a `.txt` each, JSON Lines, or Parquet.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import Final

from configs.schema import Columns, CorpusSettings, LocalCorpus
from storage.errors import UserError
from storage.fingerprint import digest
from storage.outcome import dropped
from tasks.corpora.base import (
    UNDECODABLE,
    Corpus,
    Licence,
    Member,
    Raw,
    Segment,
    SpeakerIds,
    Unplanned,
    checked_segment,
    split_by_hash,
)
from tasks.corpora.local.rows import (
    AUDIO_SUFFIXES,
    TABLE_SUFFIXES,
    Place,
    stem_of,
    suffix_of,
    table_items,
)
from tasks.corpora.sources import Delivery, Expected, HubFiles, Source

_TEXT: Final = ".txt"


def local_corpus(name: str, settings: CorpusSettings) -> Corpus:
    """The corpus described by the `local` block of `corpora.{name}`.

    Its revision covers what decides the plan: patterns, columns and, where shares of the speakers
    are taken, `speaker_ids`. Files are identified by their digests. Raises `UserError` if there is
    no such block.
    """
    local = settings.local
    if local is None:
        raise UserError(f"corpora.{name} has no `local` block")
    planned_by = {"hub", "splits", "columns"}
    if any(split.percent is not None for split in local.splits.values()):
        planned_by.add("speaker_ids")
    values = local.model_dump(mode="json", include=planned_by, exclude_defaults=True)
    return Corpus(
        name=name,
        title=local.title or name,
        homepage=f"https://huggingface.co/datasets/{local.hub}" if local.hub else "",
        licence=Licence(**local.licence.model_dump(), note="as the configuration states it"),
        revision=f"local-{digest([settings.revision, values])[:8]}",
        sources=(_source(name, local, settings.revision),),
        splits={split: files.role for split, files in local.splits.items()},
        hours=_hours(local),
        read=partial(_read, local),
        clean=clean,
        examples={" two  words\n": "two words", "As  it is [laughs].": "As it is [laughs]."},
        self_contained=local.hub is not None,
        speaker_ids=local.speaker_ids,
    )


def clean(raw_text: str) -> str:
    """The reference: the text with single spaces.

    >>> clean(" two  words ")
    'two words'
    """
    return " ".join(raw_text.split())


def _source(name: str, local: LocalCorpus, revision: str | None) -> Source:
    patterns = {split: split_files.files for split, split_files in local.splits.items()}
    if local.hub is not None:
        return HubFiles(repo=local.hub, revision=revision or "main", patterns=patterns)
    all_patterns = [
        pattern for patterns_of_split in patterns.values() for pattern in patterns_of_split
    ]
    has_tables = any(suffix_of(pattern) in TABLE_SUFFIXES for pattern in all_patterns)
    audio = map(_in_any_case, AUDIO_SUFFIXES) if has_tables else ()
    texts = map(_text_pattern, all_patterns) if local.columns.text is not None else ()
    return Delivery(
        name=name,
        title=local.title or name,
        files=(*all_patterns, *texts, *audio),
        expected=tuple(
            Expected(pattern=pattern, what=f"files of the split {split}")
            for split, patterns_of_split in patterns.items()
            for pattern in patterns_of_split
        ),
        how=f"put the files below one folder, or correct corpora.{name}.local.splits",
    )


def _hours(local: LocalCorpus) -> dict[str, float]:
    """The stated hours: shares by their percentage, the rest divided among the training splits.

    Without training splits the rest is divided among all splits that are not shares.
    """
    shares = {
        split: local.hours * files.percent / 100
        for split, files in local.splits.items()
        if files.percent is not None
    }
    whole = [split for split in local.splits if split not in shares]
    train = [split for split in whole if local.splits[split].role == "train"] or whole
    rest = (local.hours - sum(shares.values())) / len(train)
    return {split: shares.get(split, rest if split in train else 0.0) for split in local.splits}


def _read(local: LocalCorpus, raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per row of the tables of a split, or per audio file if it has no tables.

    Audio files with a transcript that match no pattern are dropped as `not_in_a_split`.
    """
    files = {member.name: member for member in raw.members()}
    unmatched = _without_pattern(local, raw)
    for (*shares, split), members in _by_split(local, files.values()).items():
        percents = {share: local.splits[share].percent or 0.0 for share in shares}
        tables = [member for member in members if suffix_of(member.name) in TABLE_SUFFIXES]
        items = [] if tables else [_with_texts(raw, split, members, local.columns, unmatched)]
        items += [table_items(raw, table, split, local.columns, files) for table in tables]
        named_by = local.speaker_ids
        yield from (_shared(item, percents, named_by) for item in chain.from_iterable(items))
    read = {stem_of(name) for name in files}
    for stem in sorted(unmatched.keys() - read):
        detail = f"{unmatched[stem]} matches no pattern of local.splits"
        yield Unplanned(split=_first_split(local), row=dropped(stem, "not_in_a_split", detail))


def _without_pattern(local: LocalCorpus, raw: Raw) -> dict[str, str]:
    """The unmatched audio of a corpus, by path without the suffix."""
    if _is_read_by_name(local):
        paths = chain((member.name for member in raw.members()), raw.others())
        return {stem_of(path): path for path in unmatched_audio(local, paths)}
    return {}


def unmatched_audio(local: LocalCorpus, paths: Iterable[str]) -> list[str]:
    """The audio files that have a `.txt` beside them and match no pattern, sorted.

    Always empty where transcripts are in tables, or there are none.
    """
    if not _is_read_by_name(local):
        return []
    patterns = [pattern for split in local.splits.values() for pattern in split.files]
    return [
        path
        for path in transcribed_audio(paths)
        if not any(fnmatchcase(path, pattern) for pattern in patterns)
    ]


def transcribed_audio(paths: Iterable[str]) -> list[str]:
    """The audio files that have a `.txt` beside them, sorted."""
    paths = sorted(paths)
    texts = {stem_of(path) for path in paths if suffix_of(path) == _TEXT}
    return [path for path in paths if suffix_of(path) in AUDIO_SUFFIXES and stem_of(path) in texts]


def _is_read_by_name(local: LocalCorpus) -> bool:
    """Whether transcripts are `.txt` files beside the audio."""
    patterns = (pattern for split in local.splits.values() for pattern in split.files)
    has_tables = any(suffix_of(pattern) in TABLE_SUFFIXES for pattern in patterns)
    return local.hub is None and local.columns.text is not None and not has_tables


def _first_split(local: LocalCorpus) -> str:
    """The split to which what belongs to no split is counted."""
    return next(name for name, split in local.splits.items() if split.percent is None)


def _by_split(local: LocalCorpus, members: Iterable[Member]) -> dict[tuple[str, ...], list[Member]]:
    """The files of each split, under its name preceded by the splits that take a share of them.

    A file that matches several splits belongs to the first of them without `percent`.
    """
    by_split: dict[tuple[str, ...], list[Member]] = {(split,): [] for split in local.splits}
    patterns = {
        split: (*files.files, *map(_text_pattern, files.files))
        for split, files in local.splits.items()
    }
    for member in members:
        splits: tuple[str, ...] = ()
        for split, patterns_of_split in patterns.items():
            if any(fnmatchcase(member.name, pattern) for pattern in patterns_of_split):
                splits = (*splits, split)
                if local.splits[split].percent is None:
                    by_split.setdefault(splits, []).append(member)
                    break
    return by_split


def _shared(
    item: Segment | Unplanned, percents: Mapping[str, float], speaker_ids: SpeakerIds
) -> Segment | Unplanned:
    """The segment in the split that the hash of its speaker, or else its recording, selects."""
    if isinstance(item, Unplanned) or not percents:
        return item
    name = (item.speaker_id if speaker_ids == "corpus" else None) or item.recording_id
    return replace(item, split=split_by_hash(name, percents, item.split))


def _with_texts(
    raw: Raw,
    split: str,
    members: Iterable[Member],
    columns: Columns,
    unmatched: Mapping[str, str],
) -> Iterator[Segment | Unplanned]:
    """One segment per audio file, with the transcript in the `.txt` file of the same name.

    `unmatched` are audio files that match no pattern, by their path without the suffix.
    """
    audio = [member for member in members if suffix_of(member.name) in AUDIO_SUFFIXES]
    texts = {stem_of(member.name): member for member in members if suffix_of(member.name) == _TEXT}
    for member in audio:
        place = Place(split, stem_of(member.name))
        text = "" if columns.text is None else None
        if text is None and place.name in texts:
            text = raw.read(texts[place.name]).decode("utf-8-sig", errors="replace").strip()
        if text is None:
            yield place.rejected("no_text", f"there is no {place.name}{_TEXT}")
        elif UNDECODABLE in text:
            yield place.rejected("malformed_line", text)
        else:
            yield checked_segment(
                id=place.name,
                split=split,
                recording_id=place.name,
                speaker_id=None,
                audio=member,
                raw_text=text,
            )
    if columns.text is not None:
        for stem in sorted(texts.keys() - {stem_of(member.name) for member in audio}):
            missing = f"beside {texts[stem].name}"
            if stem in unmatched:
                missing = f"{unmatched[stem]} matches no pattern of local.splits"
            yield Place(split, stem).rejected("no_audio", missing)


def _text_pattern(pattern: str) -> str:
    """The pattern of the transcripts of the audio files that a pattern matches."""
    if suffix_of(pattern) in ("", *TABLE_SUFFIXES):
        return pattern
    return str(PurePosixPath(pattern).with_suffix(_TEXT))


def _in_any_case(suffix: str) -> str:
    """A case-insensitive pattern for a suffix, such as `*.[wW][aA][vV]`."""
    return "*" + "".join(f"[{char}{char.upper()}]" if char.isalpha() else char for char in suffix)

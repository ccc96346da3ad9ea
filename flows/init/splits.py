"""Which split each file belongs to, by the words in its path."""

import re
from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import PurePosixPath
from typing import Final

from configs.schema import LocalSplit
from flows.init.source import Role

_ROLES: Final[Mapping[str, Role]] = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "devel": "validation",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "eval": "test",
}
_WORDS: Final = re.compile(r"[^A-Za-z]+")
_NUMBERED: Final = re.compile(r"-\d+-of-\d+.*$")
_MOST_PATTERNS: Final = 20

DEFAULT: Final = "train"
"""The split of files whose paths say nothing."""


def split_of(path: str) -> str:
    """The split that a path names: in the folder nearest to the root, else in its own name.

    >>> split_of("en/dev/0001.flac"), split_of("data/test-00000-of-00002.parquet")
    ('dev', 'test')
    >>> split_of("audio/monday.flac")
    'train'
    """
    for part in PurePosixPath(path).parts:
        for word in _WORDS.split(part.lower()):
            if word in _ROLES:
                return word
    return DEFAULT


def role_of(split: str) -> Role:
    """What a split is used for, by its name."""
    return _ROLES[split]


def splits_of_tables(paths: Sequence[str]) -> dict[str, LocalSplit]:
    """The splits of tables, held-out ones first, by patterns that later files match too.

    >>> tables = [f"data/train-0000{n}-of-00002.parquet" for n in range(2)]
    >>> splits_of_tables([*tables, "data/test.jsonl"])["train"].files
    ('data/train-*.parquet',)
    """
    by_split: dict[str, dict[str, None]] = {}
    for path in sorted(paths):
        by_split.setdefault(split_of(path), {})[_pattern(path)] = None
    return _ordered({split: tuple(found) for split, found in by_split.items()})


def splits_of_audio(paths: Sequence[str]) -> dict[str, LocalSplit]:
    """The splits of audio files: by the folders that name one, the rest by suffix alone.

    >>> found = splits_of_audio(["test/a.flac", "train/b.flac", "train/c.wav"])
    >>> {name: split.files for name, split in found.items()}
    {'test': ('test/*.flac',), 'train': ('train/*.flac', 'train/*.wav')}
    """
    by_split: dict[str, dict[str, None]] = {}
    for path in sorted(paths):
        split, suffix = split_of(path), PurePosixPath(path).suffix
        folder = _naming_folder(path)
        pattern = f"*{suffix}" if folder is None else f"{escape(folder)}/*{suffix}"
        by_split.setdefault(split, {})[pattern] = None
    return _ordered({split: tuple(found) for split, found in by_split.items()})


def _naming_folder(path: str) -> str | None:
    """The folder whose name says the split of a path."""
    folders = PurePosixPath(path).parts[:-1]
    for number, folder in enumerate(folders, start=1):
        if any(word in _ROLES for word in _WORDS.split(folder.lower())):
            return "/".join(folders[:number])
    return None


def _pattern(path: str) -> str:
    name = PurePosixPath(path)
    if _NUMBERED.search(name.stem):
        pattern = f"{escape(_NUMBERED.sub('', name.stem))}-*{name.suffix}"
    elif name.stem.isdigit():
        pattern = f"*{name.suffix}"
    else:
        pattern = escape(name.name)
    folder = escape(str(name.parent))
    return pattern if folder == "." else f"{folder}/{pattern}"


def _ordered(files: Mapping[str, Sequence[str]]) -> dict[str, LocalSplit]:
    """Training last: a file that two splits match belongs to the first of them."""
    names = sorted(files, key=lambda name: (role_of(name) == "train", name))
    return {name: LocalSplit(files=_few(files[name]), role=role_of(name)) for name in names}


def _few(patterns: Sequence[str]) -> tuple[str, ...]:
    """The patterns, or one for each suffix in each top folder where there are too many."""
    if len(patterns) <= _MOST_PATTERNS:
        return tuple(patterns)
    shorter: dict[str, None] = {}
    for pattern in patterns:
        path = PurePosixPath(pattern)
        top = f"{path.parts[0]}/" if len(path.parts) > 1 else ""
        shorter[f"{top}*{path.suffix}"] = None
    return tuple(shorter)

"""TED-LIUM 3 (OpenSLR 51): whole talks as SPHERE, segments in STM; the `legacy` splits."""

import re
from collections.abc import Iterator
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
    numbered_lines,
)
from tasks.corpora.sources import Archive

_SPLITS: Final[dict[str, Role]] = {"train": "train", "dev": "validation", "test": "test"}
_NOT_SCORED: Final = "ignore_time_segment_in_scoring"
_NUM_FIELDS: Final = 7

_TIME = re.compile(r"[0-9]{1,7}(\.[0-9]*)?|\.[0-9]+")  # seconds, never negative

# clitics such as ` 's` are separated from their word
_SUFFIX = re.compile(r" '(s|t|re|ve|m|ll|d|clock|all)\b")
_DANGLING = re.compile(r"(?<!\S)' (?=\w)")
_TAG = re.compile(r"<unk>|<sil>|\{(?:noise|cough|smack|breath|uh|um)\}|\(\d+\)", re.IGNORECASE)
_UTTERANCE_ID = re.compile(r"[^(]*\(\S+-\d+\)")  # the last word, from its first parenthesis on


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per STM line; the talk is its first field, not the name of the file."""
    for split, talks, stm in transcripts_by_split(raw):
        for number, line in numbered_lines(raw.read(stm)):
            if not line.startswith(";;"):
                yield stm_item(split, talks, line) or malformed(split, stm, number, line)


def transcripts_by_split(raw: Raw) -> Iterator[tuple[str, dict[str, Member], Member]]:
    """Each transcript with its split and the talks of that split by name."""
    talks: dict[str, dict[str, Member]] = {split: {} for split in _SPLITS}
    for member in raw.members(".sph"):
        if (split := _split(member.name)) is not None:
            talks[split][PurePosixPath(member.name).stem] = member
    for stm in raw.members(".stm"):
        if (split := _split(stm.name)) is not None:
            yield split, talks[split], stm


def _split(name: str) -> str | None:
    """`data` is the training set; the train folder of `legacy` has links into `data` only."""
    parts = PurePosixPath(name).parts
    if "legacy" in parts:
        part = parts[parts.index("legacy") + 1]
        return part if part in ("dev", "test") else None
    return "train" if "data" in parts else None


def stm_item(split: str, talks: dict[str, Member], line: str) -> Segment | Unplanned | None:
    """The segment of an STM line; None for a malformed line."""
    fields = line.split(maxsplit=_NUM_FIELDS - 1)
    if len(fields) < _NUM_FIELDS - 1 or UNDECODABLE in line:
        return None
    talk, _, speaker, start, end = fields[: _NUM_FIELDS - 2]
    if not (_TIME.fullmatch(start) and _TIME.fullmatch(end)):
        return None
    start_s, end_s = float(start), float(end)
    utterance_id = f"{talk}-{round(start_s * 100):07d}-{round(end_s * 100):07d}"
    text = fields[-1] if len(fields) == _NUM_FIELDS else ""
    if text.lower() == _NOT_SCORED:
        return Unplanned(split=split, row=dropped(utterance_id, "not_scored"))
    if end_s <= start_s:
        row = quarantined(utterance_id, "reversed_times", f"{start_s} to {end_s} s")
        return Unplanned(split=split, row=row)
    if talk not in talks:
        return Unplanned(split=split, row=quarantined(utterance_id, "no_audio", talk))
    return checked_segment(
        id=utterance_id,
        split=split,
        recording_id=talk,
        speaker_id=speaker,
        audio=talks[talk],
        raw_text=text,
        start_s=start_s,
        end_s=end_s,
    )


def clean(raw_text: str) -> str:
    """The reference, without tags for unintelligible speech and with clitics rejoined.

    >>> clean("so it 's the first <unk> we built")
    "so it's the first we built"
    >>> clean("' cause they don 't")
    "'cause they don't"
    >>> clean("for(2) the {NOISE} people")
    'for the people'
    """
    text = _without_utterance_id(raw_text)
    text = _DANGLING.sub("'", _SUFFIX.sub(r"'\1", _TAG.sub("", text)))
    return " ".join(text.split())


def _without_utterance_id(text: str) -> str:
    """The text without an id such as `(JaneDoe-12)` at its end."""
    *_, last = text.rsplit(maxsplit=1) or [""]
    if not _UTTERANCE_ID.fullmatch(last):
        return text
    return text.rstrip().removesuffix(last) + last.partition("(")[0]


TEDLIUM: Final = Corpus(
    name="tedlium",
    title="TED-LIUM 3",
    homepage="https://www.openslr.org/51",
    hours={"train": 452.0, "dev": 1.6, "test": 2.6},
    distributed_gb=50,
    mean_utterance_s=6.1,
    paper_hours=450,
    licence=Licence(
        name="CC-BY-NC-ND-3.0", commercial_use=False, derivatives=False, redistribution=True
    ),
    revision="openslr-51",
    sources=(
        Archive(
            url="https://www.openslr.org/resources/51/TEDLIUM_release-3.tgz",
            sha256="ad1e454d14d1ad550bc2564c462d87c7a7ec83d4dc2b9210f22ab4973b9eccdb",
        ),
    ),
    splits=_SPLITS,
    read=read,
    clean=clean,
    examples={
        "so it 's the first <unk> we built": "so it's the first we built",
        "we 're sure they 've gone": "we're sure they've gone",
        "i 'm here and i 'll stay": "i'm here and i'll stay",
        "he 'd say it isn 't five o 'clock y 'all": "he'd say it isn't five o'clock y'all",
        "' cause they don 't": "'cause they don't",
        "{NOISE} well {COUGH} then {SMACK}": "well then",
        "<sil> for(2) the<sil> people": "for the people",
        "hello there (JaneDoe-12)": "hello there",
    },
)

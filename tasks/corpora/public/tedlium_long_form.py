"""The held-out talks of TED-LIUM 3 as one utterance each, for long-form evaluation."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from storage.outcome import Rejected, dropped, quarantined
from tasks.corpora.base import (
    Corpus,
    Member,
    Raw,
    Role,
    Segment,
    Unplanned,
    checked_segment,
    numbered_lines,
)
from tasks.corpora.public.tedlium import TEDLIUM, stm_item, transcripts_by_split

_SPLITS: Final[dict[str, Role]] = {"dev": "validation", "test": "test"}
_SHOWN_CHARS: Final = 80


def read(raw: Raw) -> Iterator[Segment | Unplanned]:
    """One segment per talk, from the first to the last transcribed segment, with all texts."""
    for split, talks, stm in transcripts_by_split(raw):
        if split in _SPLITS:
            yield _talk(raw, split, talks, stm)


def _talk(raw: Raw, split: str, talks: dict[str, Member], stm: Member) -> Segment | Unplanned:
    """A talk; it is quarantined if any line is malformed, since the reference would have a gap."""
    name = PurePosixPath(stm.name).stem
    segments: list[Segment] = []
    for number, line in numbered_lines(raw.read(stm)):
        if line.startswith(";;"):
            continue
        item = stm_item(split, talks, line)
        if isinstance(item, Segment):
            segments.append(item)
        elif item is None:
            detail = f"line {number}: {line[:_SHOWN_CHARS]}"
            return Unplanned(split=split, row=quarantined(name, "malformed_line", detail))
        elif item.row.outcome == "quarantined":
            row = Rejected(name, item.row.outcome, item.row.reason, item.row.detail)
            return Unplanned(split=split, row=row)
    if not segments:
        return Unplanned(split=split, row=dropped(name, "not_scored"))
    segments.sort(key=lambda segment: segment.start_s)
    first, last = segments[0], segments[-1]
    return checked_segment(
        id=first.recording_id,
        split=split,
        recording_id=first.recording_id,
        speaker_id=first.speaker_id,
        audio=first.audio,
        raw_text=" ".join(segment.raw_text for segment in segments),
        start_s=first.start_s,
        end_s=last.end_s,
    )


TEDLIUM_LONG_FORM: Final = Corpus(
    name="tedlium_long_form",
    title="TED-LIUM 3, whole talks",
    homepage=TEDLIUM.homepage,
    licence=TEDLIUM.licence,
    revision=TEDLIUM.revision,
    sources=TEDLIUM.sources,
    splits=_SPLITS,
    hours={split: TEDLIUM.hours[split] for split in _SPLITS},
    distributed_gb=TEDLIUM.distributed_gb,
    read=read,
    clean=TEDLIUM.clean,
    examples=TEDLIUM.examples,
    notes=(
        "The hours are those of the transcribed segments; the talks, which include the pauses"
        " between them, are slightly longer.",
        "It uses the archive of tedlium, which is downloaded again; a mirror can serve both.",
    ),
)

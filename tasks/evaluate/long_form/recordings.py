"""Recordings for long-form transcription: the utterances of each, joined in their order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Final

import numpy as np

from storage.outcome import Rejected, dropped
from tasks.audio import Samples
from tasks.evaluate.spoken import Speech, Spoken

NOT_LONG: Final = "not_long_form"
"""The reason of the utterances of recordings that fit into a window."""


def join_recordings(
    speech: Speech,
    normalise: Callable[[str], str],
    *,
    join: bool = True,
    longer_than: int = 0,
) -> Speech:
    """Yield each recording of more than `longer_than` samples with its audio.

    A recording is joined from consecutive utterances with the same `recording_id`, in the order of
    the shard: by channel and speaker, then by time. Only they are in memory, and nothing of what
    was between them is in the audio. If a recording comes up again, its second part is `ID#2`.
    Without `join` each utterance is a recording with its own id. Rejected rows pass through; the
    utterances of other recordings are dropped as `not_long_form`.

    The reference of a recording is normalised as a whole, like the transcript, since a number may
    span two utterances.
    """
    for recording, samples in _recordings(speech, normalise, join=join):
        if isinstance(recording, Rejected):
            yield recording
        elif len(samples) > longer_than:
            yield recording, samples
        else:
            yield from (dropped(one, NOT_LONG) for one in recording.utterance_ids)


def _recordings(
    speech: Speech, normalise: Callable[[str], str], *, join: bool
) -> Iterator[tuple[Spoken | Rejected, Samples]]:
    taken: set[str] = set()
    members: list[tuple[Spoken, Samples]] = []
    for item in speech:
        if isinstance(item, Rejected):
            yield item, _NOTHING
        elif not join:
            yield item
        else:
            if members and members[0][0].recording_id != item[0].recording_id:
                yield _joined(taken, members, normalise)
                members = []
            members.append(item)
    if members:
        yield _joined(taken, members, normalise)


_NOTHING: Final[Samples] = np.zeros(0, np.float32)


def _joined(
    taken: set[str], members: Sequence[tuple[Spoken, Samples]], normalise: Callable[[str], str]
) -> tuple[Spoken, Samples]:
    spoken = [one for one, _ in members]
    samples = np.concatenate([one for _, one in members])
    speakers = {one.speaker_id for one in spoken}
    text = " ".join(one.text for one in spoken)
    recording = replace(
        spoken[0],
        id=_unused(spoken[0].recording_id, taken),
        utterance_ids=tuple(one.id for one in spoken),
        speaker_id=speakers.pop() if len(speakers) == 1 else None,
        text=text,
        reference=normalise(text),
        num_samples=len(samples),
    )
    return recording, samples


def _unused(recording_id: str, taken: set[str]) -> str:
    """The id, with a number if it is taken; it is taken from now on."""
    names = (f"{recording_id}#{number}" if number > 1 else recording_id for number in count(1))
    name = next(one for one in names if one not in taken)
    taken.add(name)
    return name

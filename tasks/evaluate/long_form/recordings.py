"""Recordings for long-form transcription: the utterances of each, joined in their order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
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
    was between them is in the audio. Its id is that of its first utterance, because a recording may
    have several parts, also in several shards. Without `join` each utterance is a recording.
    Rejected rows pass through; the utterances of other recordings are dropped as `not_long_form`.

    The reference of a recording is normalised as a whole, like the transcript, since a number may
    span two utterances.
    """
    for item in _recordings(speech, normalise, join=join):
        if isinstance(item, Rejected) or item[0].num_samples > longer_than:
            yield item
        else:
            yield from (dropped(one, NOT_LONG) for one in item[0].utterance_ids)


def _recordings(speech: Speech, normalise: Callable[[str], str], *, join: bool) -> Speech:
    members: list[tuple[Spoken, Samples]] = []
    for item in speech:
        if isinstance(item, Rejected) or not join:
            yield item
        else:
            if members and members[0][0].recording_id != item[0].recording_id:
                yield _joined(members, normalise)
                members = []
            members.append(item)
    if members:
        yield _joined(members, normalise)


def _joined(
    members: Sequence[tuple[Spoken, Samples]], normalise: Callable[[str], str]
) -> tuple[Spoken, Samples]:
    spoken = [one for one, _ in members]
    samples = np.concatenate([one for _, one in members])
    speakers = {one.speaker_id for one in spoken}
    text = " ".join(one.text for one in spoken)
    recording = replace(
        spoken[0],
        utterance_ids=tuple(one.id for one in spoken),
        speaker_id=speakers.pop() if len(speakers) == 1 else None,
        text=text,
        reference=normalise(text),
        num_samples=len(samples),
    )
    return recording, samples

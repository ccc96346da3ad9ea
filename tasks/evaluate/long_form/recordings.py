"""Recordings for long-form transcription: the utterances of each, joined in their order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from storage.outcome import Rejected, dropped
from tasks.audio import Samples
from tasks.corpora.base import Clean, NoReference
from tasks.whisper.streaming import Utterance


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """Joined utterances without their audio, which has `num_samples` at 16 kHz.

    `speaker_id` is None if it is unknown or if there are several.
    """

    id: str
    utterance_ids: tuple[str, ...]
    speaker_id: str | None
    raw_texts: tuple[str, ...]
    reference: str  # normalised
    num_samples: int


def joined_recordings(
    utterances: Iterable[Utterance | Rejected],
    clean: Clean,
    normalise: Callable[[str], str],
    *,
    join: bool = True,
) -> Iterator[tuple[Recording, Samples] | Rejected]:
    """Yield each recording with its audio, (samples,) float32 at 16 kHz.

    A recording is joined from consecutive utterances with the same `recording_id`, in the order of
    the shard: by channel and speaker, then by time. Only they are in memory, and nothing of what
    was between them is in the audio. If a recording comes up again, its second part is `ID#2`.
    Without `join` each utterance is a recording with its own id. Rejected rows pass through.

    Utterances without a reference are dropped, their audio included: for the reason that `clean`
    gives, or `empty_reference` if nothing remains of it. The reference of a recording is normalised
    as a whole, like the transcript, since a number may span two utterances.
    """
    taken: set[str] = set()
    members: list[tuple[Utterance, str]] = []
    for item in utterances:
        if isinstance(item, Rejected):
            yield item
        elif isinstance(text := clean(item.raw_text), NoReference):
            yield dropped(item.id, text.reason, item.raw_text)
        elif not normalise(text):
            yield dropped(item.id, "empty_reference", item.raw_text)
        elif not join:
            yield _joined(item.id, [(item, text)], normalise)
        else:
            if members and members[0][0].recording_id != item.recording_id:
                yield _joined(_unused(members[0][0].recording_id, taken), members, normalise)
                members = []
            members.append((item, text))
    if members:
        yield _joined(_unused(members[0][0].recording_id, taken), members, normalise)


def _unused(recording_id: str, taken: set[str]) -> str:
    """The id, with a number if it is taken; it is taken from now on."""
    names = (f"{recording_id}#{number}" if number > 1 else recording_id for number in count(1))
    name = next(one for one in names if one not in taken)
    taken.add(name)
    return name


def _joined(
    name: str, members: list[tuple[Utterance, str]], normalise: Callable[[str], str]
) -> tuple[Recording, Samples]:
    utterances = [utterance for utterance, _ in members]
    samples = np.concatenate([one.samples for one in utterances])
    speakers = {one.speaker_id for one in utterances}
    recording = Recording(
        id=name,
        utterance_ids=tuple(one.id for one in utterances),
        speaker_id=speakers.pop() if len(speakers) == 1 else None,
        raw_texts=tuple(one.raw_text for one in utterances),
        reference=normalise(" ".join(text for _, text in members)),
        num_samples=len(samples),
    )
    return recording, samples

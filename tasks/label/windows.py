"""Packs consecutive utterances into windows of the teacher's input length.

Whisper pads every input to a full window, so packing short clips makes labelling two to three times
as fast. Deals with lengths, speakers and recordings; it has no notion of audio or models.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from storage.outcome import Rejected
from tasks.audio import SAMPLE_RATE_HZ
from tasks.whisper.streaming import HasLength, reject_too_long

Policy = Literal["none", "speaker", "any"]


class Packable(HasLength, Protocol):
    """What packing needs to know about an utterance."""

    @property
    def recording_id(self) -> str:
        """The recording it was cut from."""

    @property
    def speaker_id(self) -> str | None:
        """The speaker; None if unknown."""


U = TypeVar("U", bound=Packable)
_RecordingSpeaker = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Window(Generic[U]):
    """One or more utterances to transcribe together, concatenated in order without gaps."""

    utterances: tuple[U, ...]
    previous_window_id: str | None

    @property
    def window_id(self) -> str:
        """The first utterance's id, followed by the number of further utterances if any."""
        first, num_more = self.utterances[0].id, len(self.utterances) - 1
        return f"{first}+{num_more}" if num_more else first

    @property
    def num_samples(self) -> int:
        """The length without padding, in samples at 16 kHz."""
        return sum(utterance.num_samples for utterance in self.utterances)

    @property
    def offsets_s(self) -> list[float]:
        """The start of each utterance in seconds, exact to the sample."""
        starts = [0]
        for utterance in self.utterances[:-1]:
            starts.append(starts[-1] + utterance.num_samples)
        return [start / SAMPLE_RATE_HZ for start in starts]


def pack(
    utterances: Iterable[U | Rejected], window_samples: int, policy: Policy
) -> Iterator[Window[U] | Rejected]:
    """Fill windows of at most `window_samples` in the order given; one window is open at a time.

    `none`: each utterance alone. `speaker`: neighbours of the same known speaker in the same
    recording. `any`: all neighbours. An utterance that does not fit into a window by itself is
    dropped as `longer_than_window`, never cut. Rejected rows pass through.

    `previous_window_id` is the last earlier window with the same known speaker, and no other, in
    the same recording.
    """
    last_window: dict[_RecordingSpeaker, str] = {}
    current: list[U] = []
    length = 0
    for utterance in utterances:
        if isinstance(utterance, Rejected):
            yield utterance
            continue
        if (rejected := reject_too_long(utterance, window_samples)) is not None:
            yield rejected
            continue
        fits = length + utterance.num_samples <= window_samples
        if current and not (fits and _may_join(current[-1], utterance, policy)):
            yield _close(current, last_window)
            current, length = [], 0
        current.append(utterance)
        length += utterance.num_samples
    if current:
        yield _close(current, last_window)


def _may_join(last: Packable, utterance: Packable, policy: Policy) -> bool:
    if policy == "speaker":
        speaker = _recording_speaker(utterance)
        return speaker is not None and speaker == _recording_speaker(last)
    return policy == "any"


def _recording_speaker(utterance: Packable) -> _RecordingSpeaker | None:
    """None for an unknown speaker, who equals no other, known or unknown."""
    if utterance.speaker_id is None:
        return None
    return (utterance.recording_id, utterance.speaker_id)


def _close(utterances: list[U], last_window: dict[_RecordingSpeaker, str]) -> Window[U]:
    speakers = {_recording_speaker(utterance) for utterance in utterances}
    speaker = speakers.pop() if len(speakers) == 1 else None
    if speaker is None:
        return Window(tuple(utterances), None)
    window = Window(tuple(utterances), last_window.get(speaker))
    last_window[speaker] = window.window_id
    return window

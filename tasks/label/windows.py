"""Packing: consecutive utterances share a window of the teacher's own length.

Knows lengths in samples and who spoke in which recording; knows no audio and no model. Short clips
padded to a whole window are what makes labelling slow, so packing pays two to three times.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from storage.outcome import Rejected, dropped
from tasks.audio import SAMPLE_RATE_HZ

Policy = Literal["none", "speaker", "any"]


class Packable(Protocol):
    """What packing must know of an utterance; `num_samples` at 16 kHz."""

    @property
    def id(self) -> str:
        """Its name, unique in a corpus."""

    @property
    def recording_id(self) -> str:
        """Where it was cut from."""

    @property
    def speaker_id(self) -> str | None:
        """Who is heard; None: unknown."""

    @property
    def num_samples(self) -> int:
        """How long it is."""


U = TypeVar("U", bound=Packable)
_Voice = tuple[str, str]  # of a recording, a speaker


@dataclass(frozen=True, slots=True)
class Window(Generic[U]):
    """One or more utterances, heard as one, in their order and without a gap."""

    utterances: tuple[U, ...]
    previous_window_id: str | None

    @property
    def window_id(self) -> str:
        """The utterance's own id, or the first one's and how many follow it."""
        first, num_more = self.utterances[0].id, len(self.utterances) - 1
        return f"{first}+{num_more}" if num_more else first

    @property
    def num_samples(self) -> int:
        """The length without padding."""
        return sum(utterance.num_samples for utterance in self.utterances)

    @property
    def offsets_s(self) -> list[float]:
        """Where each utterance starts, in seconds, exact to the sample."""
        starts = [0]
        for utterance in self.utterances[:-1]:
            starts.append(starts[-1] + utterance.num_samples)
        return [start / SAMPLE_RATE_HZ for start in starts]


def pack(
    utterances: Iterable[U | Rejected], window_samples: int, policy: Policy
) -> Iterator[Window[U] | Rejected]:
    """Fill windows of at most `window_samples` in the order given; one window is open at a time.

    `none`: each utterance alone. `speaker`: neighbours that share a known speaker and a recording.
    `any`: all neighbours. A window that is exactly full is whole. What does not fit into a window
    by itself is dropped as `longer_than_window`, never cut; what is already left out passes by.

    `previous_window_id` is the last window before in which the same known speaker, and nobody else,
    is heard in the same recording.
    """
    last_window: dict[_Voice, str] = {}
    opened: list[U] = []
    length = 0
    for utterance in utterances:
        if isinstance(utterance, Rejected):
            yield utterance
            continue
        if (rejected := too_long(utterance, window_samples)) is not None:
            yield rejected
            continue
        fits = length + utterance.num_samples <= window_samples
        if opened and not (fits and _may_join(opened[-1], utterance, policy)):
            yield _close(opened, last_window)
            opened, length = [], 0
        opened.append(utterance)
        length += utterance.num_samples
    if opened:
        yield _close(opened, last_window)


def too_long(utterance: Packable, window_samples: int) -> Rejected | None:
    """The drop of an utterance that no window holds; None where one does."""
    if utterance.num_samples <= window_samples:
        return None
    found_s = utterance.num_samples / SAMPLE_RATE_HZ
    window_s = window_samples / SAMPLE_RATE_HZ
    detail = f"{found_s:.4f} s > {window_s:g} s"
    return dropped(utterance.id, "longer_than_window", detail)


def _may_join(last: Packable, utterance: Packable, policy: Policy) -> bool:
    if policy == "speaker":
        voice = _voice(utterance)
        return voice is not None and voice == _voice(last)
    return policy == "any"


def _voice(utterance: Packable) -> _Voice | None:
    """Who is heard where; unknown is nobody's equal, not even its own."""
    if utterance.speaker_id is None:
        return None
    return (utterance.recording_id, utterance.speaker_id)


def _close(opened: list[U], last_window: dict[_Voice, str]) -> Window[U]:
    voices = {_voice(utterance) for utterance in opened}
    voice = voices.pop() if len(voices) == 1 else None
    if voice is None:
        return Window(tuple(opened), None)
    window = Window(tuple(opened), last_window.get(voice))
    last_window[voice] = window.window_id
    return window

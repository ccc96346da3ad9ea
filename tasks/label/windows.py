"""Packs utterances into windows of the teacher's input length, voice by voice.

Whisper pads every input to a full window, so packing short clips makes labelling several times as
fast. Deals with lengths, speakers and recordings; it has no notion of audio or models.
"""

from bisect import bisect_left, insort
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Literal, Protocol, TypeVar

from storage.outcome import Rejected
from tasks.audio import SAMPLE_RATE_HZ
from tasks.corpora.base import SpeakerIds
from tasks.whisper.streaming import HasLength, reject_too_long

Policy = Literal["none", "speaker", "any"]

NUM_OPEN: Final = 4
"""Windows that are open for each voice."""

NUM_HELD: Final = 32
"""Full windows whose audio the open windows of all voices may hold; 2 MB each at 30 s."""


class Packable(HasLength, Protocol):
    """What packing needs to know about an utterance."""

    @property
    def recording_id(self) -> str:
        """The recording it was cut from."""

    @property
    def speaker_id(self) -> str | None:
        """The speaker; None if unknown."""


U = TypeVar("U", bound=Packable)
_Voice = tuple[str | None, str | None]
_RecordingSpeaker = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Window(Generic[U]):
    """One or more utterances to transcribe together, concatenated in order without gaps."""

    utterances: tuple[U, ...]
    previous_window_id: str | None

    @property
    def window_id(self) -> str:
        """The first utterance's id, followed by the number of further utterances if any.

        Unique in a shard, because each utterance is in one window.
        """
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
    utterances: Iterable[U | Rejected],
    window_samples: int,
    policy: Policy,
    speaker_ids: SpeakerIds = "corpus",
) -> Iterator[Window[U] | Rejected]:
    """Fill windows of at most `window_samples`; each utterance is in one, in the order given.

    `none`: each utterance alone. `speaker`: only utterances of one voice share a window. A voice is
    a known speaker, in the whole corpus or within a recording as `speaker_ids` says; or all
    unknown speakers of a recording. `any`: the same, but what is left over when a voice ends shares
    windows with other voices.

    An utterance goes to the first open window of its voice that has room (first fit). A voice has
    at most `NUM_OPEN` open windows: the fullest is closed for a new one. Together they hold the
    audio of at most `NUM_HELD` full windows (and with `any`, of `NUM_OPEN` more): beyond that, the
    voice ends that has not spoken for longest. So memory does not grow with the number of
    utterances or voices, and the result depends on the order of the utterances alone.

    An utterance that does not fit into a window by itself is dropped as `longer_than_window`, never
    cut. Rejected rows pass through.

    `previous_window_id` links windows that contain one known speaker in one recording and nothing
    else: it is the last one already yielded whose utterances all come before those of this one.
    """
    packer: _Packer[U] = _Packer(window_samples, policy, speaker_ids)
    for utterance in utterances:
        if isinstance(utterance, Rejected):
            yield utterance
        elif (rejected := reject_too_long(utterance, window_samples)) is not None:
            yield rejected
        else:
            yield from packer.add(utterance)
    yield from packer.finish()


class _OpenWindow(Generic[U]):
    """Utterances with their positions among all utterances, in rising order."""

    def __init__(self) -> None:
        self.members: list[tuple[int, U]] = []
        self.num_samples = 0

    def append(self, position: int, utterance: U) -> None:
        self.members.append((position, utterance))
        self.num_samples += utterance.num_samples

    def merge(self, other: "_OpenWindow[U]") -> None:
        self.members = sorted(self.members + other.members, key=lambda member: member[0])
        self.num_samples += other.num_samples

    @property
    def first(self) -> int:
        return self.members[0][0]

    @property
    def last(self) -> int:
        return self.members[-1][0]

    @property
    def only_speaker(self) -> _RecordingSpeaker | None:
        """The recording and the known speaker of all utterances; None if they are several."""
        _, utterance = self.members[0]
        recording_id, speaker_id = utterance.recording_id, utterance.speaker_id
        is_one = all(
            (one.recording_id, one.speaker_id) == (recording_id, speaker_id)
            for _, one in self.members
        )
        return (recording_id, speaker_id) if is_one and speaker_id is not None else None


class _Packer(Generic[U]):
    """The open windows of all voices, the voice that has not spoken for longest first."""

    def __init__(self, window_samples: int, policy: Policy, speaker_ids: SpeakerIds) -> None:
        self._window_samples = window_samples
        self._policy = policy
        self._speaker_ids = speaker_ids
        self._voices: OrderedDict[_Voice, list[_OpenWindow[U]]] = OrderedDict()
        self._num_held_samples = 0
        self._shared: list[_OpenWindow[U]] = []
        self._num_added = 0
        self._closed: defaultdict[_RecordingSpeaker, list[tuple[int, str]]] = defaultdict(list)

    def add(self, utterance: U) -> Iterator[Window[U]]:
        """Place an utterance; yields the windows that this closes."""
        voice = self._voice(utterance)
        windows = self._voices.setdefault(voice, [])
        self._voices.move_to_end(voice)
        window = self._with_room(windows, utterance.num_samples)
        if window is None:
            if len(windows) == NUM_OPEN:
                yield self._close(_fullest(windows), windows)
            window = _OpenWindow()
            windows.append(window)
        window.append(self._num_added, utterance)
        self._num_added += 1
        self._num_held_samples += utterance.num_samples
        if self._policy == "none" or window.num_samples == self._window_samples:
            yield self._close(window, windows)
        while self._num_held_samples > NUM_HELD * self._window_samples:
            yield from self._end(next(iter(self._voices)))

    def finish(self) -> Iterator[Window[U]]:
        """Yield the windows that are still open."""
        for voice in list(self._voices):
            yield from self._end(voice)
        yield from map(self._finished, self._shared)

    def _voice(self, utterance: U) -> _Voice:
        if utterance.speaker_id is not None and self._speaker_ids == "corpus":
            return None, utterance.speaker_id
        return utterance.recording_id, utterance.speaker_id

    def _with_room(
        self, windows: Iterable[_OpenWindow[U]], num_samples: int
    ) -> _OpenWindow[U] | None:
        room = self._window_samples - num_samples
        return next((window for window in windows if window.num_samples <= room), None)

    def _close(self, window: _OpenWindow[U], windows: list[_OpenWindow[U]]) -> Window[U]:
        """Close one of the open `windows` of a voice."""
        windows.remove(window)
        self._num_held_samples -= window.num_samples
        return self._finished(window)

    def _end(self, voice: _Voice) -> Iterator[Window[U]]:
        """Close all windows of a voice."""
        for window in self._voices.pop(voice):
            self._num_held_samples -= window.num_samples
            if self._policy == "any":
                yield from self._share(window)
            else:
                yield self._finished(window)

    def _share(self, left_over: _OpenWindow[U]) -> Iterator[Window[U]]:
        """Add what is left over of a voice to a window that is shared with others."""
        window = self._with_room(self._shared, left_over.num_samples)
        if window is not None:
            window.merge(left_over)
            return
        if len(self._shared) == NUM_OPEN:
            fullest = _fullest(self._shared)
            self._shared.remove(fullest)
            yield self._finished(fullest)
        self._shared.append(left_over)

    def _finished(self, window: _OpenWindow[U]) -> Window[U]:
        utterances = tuple(utterance for _, utterance in window.members)
        if (speaker := window.only_speaker) is None:
            return Window(utterances, None)
        earlier = self._closed[speaker]
        index = bisect_left(earlier, (window.first, ""))
        finished = Window(utterances, earlier[index - 1][1] if index else None)
        insort(earlier, (window.last, finished.window_id))
        return finished


def _fullest(windows: Iterable[_OpenWindow[U]]) -> _OpenWindow[U]:
    return max(windows, key=lambda window: window.num_samples)

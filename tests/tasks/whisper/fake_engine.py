"""A small engine that returns given results in random order."""

from collections import deque
from collections.abc import Callable, Iterable
from random import Random

from configs.schema import Label
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions

Transcribe = Callable[[AudioWindow, float], DecodingResult]


def decoded(text: str = "", **changes: object) -> DecodingResult:
    values = {"avg_logprob": -0.1, "no_speech_prob": 0.0, "has_end": True, **changes}
    return DecodingResult(text=text, tokens=(1, *map(ord, text), 2), **values)


def transcribe_as_id(window: AudioWindow, temperature: float) -> DecodingResult:
    return decoded(window.id)


class FakeEngine:
    """Holds `num_slots` windows and finishes a random one of them next.

    `taken` records temperature and id of each window in the order they were taken.
    """

    window_samples = 32_000

    def __init__(
        self, transcribe: Transcribe = transcribe_as_id, num_slots: int = 4, *, records: bool = True
    ) -> None:
        self._transcribe = transcribe
        self._records = records
        self._num_slots = num_slots
        self.taken: list[tuple[float, str]] = []

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        random, slots, stream, retries = Random(0), [], iter(windows), deque[AudioWindow]()
        while True:
            while len(slots) < self._num_slots:
                window = retries.popleft() if retries else next(stream, None)
                if window is None:
                    break
                if self._records:
                    self.taken.append((window.temperature, window.id))
                slots.append(window)
            if not slots:
                return
            ended = slots.pop(random.randrange(len(slots)))
            retry = yield ended, self._transcribe(ended, ended.temperature)
            if retry is not None:
                retries.append(retry)

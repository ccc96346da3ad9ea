"""An engine of a few lines, that answers as it is told and in any order."""

from collections import deque
from collections.abc import Callable, Iterable
from random import Random

from configs.schema import Label
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions

Hypothesis = Callable[[AudioWindow, float], DecodingResult]


def heard(text: str = "", **changes: object) -> DecodingResult:
    values = {"avg_logprob": -0.1, "no_speech_prob": 0.0, "has_end": True, **changes}
    return DecodingResult(text=text, tokens=(1, *map(ord, text), 2), **values)


def says_its_name(sound: AudioWindow, temperature: float) -> DecodingResult:
    return heard(sound.id)


class FakeEngine:
    """Has room for `num_slots` sounds and ends one of them at random.

    `taken` records the temperature and the id of each sound in the order in which it took them.
    """

    window_samples = 32_000

    def __init__(
        self, answer: Hypothesis = says_its_name, num_slots: int = 4, *, records: bool = True
    ) -> None:
        self._answer = answer
        self._records = records
        self._num_slots = num_slots
        self.taken: list[tuple[float, str]] = []

    def transcribe(self, sounds: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        random, slots, fresh, again = Random(0), [], iter(sounds), deque[AudioWindow]()
        while True:
            while len(slots) < self._num_slots:
                sound = again.popleft() if again else next(fresh, None)
                if sound is None:
                    break
                if self._records:
                    self.taken.append((sound.temperature, sound.id))
                slots.append(sound)
            if not slots:
                return
            ended = slots.pop(random.randrange(len(slots)))
            sent = yield ended, self._answer(ended, ended.temperature)
            if sent is not None:
                again.append(sent)

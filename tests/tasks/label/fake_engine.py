"""An engine of a few lines, that answers as it is told and in any order."""

from collections.abc import Callable, Iterable, Iterator
from random import Random

from configs.schema import Label
from tasks.label.engine import Heard, Sound

Answer = Callable[[Sound, float], Heard]


def heard(text: str = "", **changes: object) -> Heard:
    values = {"avg_logprob": -0.1, "no_speech_prob": 0.0, "has_end": True, **changes}
    return Heard(text=text, tokens=(1, *map(ord, text), 2), **values)


def says_its_name(sound: Sound, temperature: float) -> Heard:
    return heard(sound.id)


class FakeEngine:
    """Has room for `num_slots` sounds and ends one of them at random.

    `calls` records the temperature of each call and the ids of the sounds that it took.
    """

    window_samples = 32_000

    def __init__(
        self, answer: Answer = says_its_name, num_slots: int = 4, *, records: bool = True
    ) -> None:
        self._answer = answer
        self._records = records
        self._num_slots = num_slots
        self.calls: list[tuple[float, list[str]]] = []

    def hear(
        self, sounds: Iterable[Sound], settings: Label, temperature: float = 0.0
    ) -> Iterator[tuple[Sound, Heard]]:
        taken: list[str] = []
        self.calls.append((temperature, taken))
        random, slots = Random(0), []
        for sound in sounds:
            if self._records:
                taken.append(sound.id)
            slots.append(sound)
            if len(slots) == self._num_slots:
                ended = slots.pop(random.randrange(len(slots)))
                yield ended, self._answer(ended, temperature)
        for sound in reversed(slots):
            yield sound, self._answer(sound, temperature)

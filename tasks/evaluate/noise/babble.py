"""Babble: several people who speak at the same time, none of them the speaker of the utterance."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from storage.errors import UserError
from tasks.audio import Samples
from tasks.evaluate.noise.draws import fractions
from tasks.evaluate.noise.source import HasSpeaker, section

BABBLE = "babble"


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: a speaker of a corpus, or if it is unknown (None), somebody in the recordings.

    The same id is taken for the same person in the whole corpus, also where ids may repeat.
    """

    corpus: str
    speaker_id: str | None
    recording_ids: frozenset[str]

    @classmethod
    def of(cls, corpus: str, utterance: HasSpeaker) -> Self:
        """The voice of an utterance."""
        return cls(corpus, utterance.speaker_id, frozenset({utterance.recording_id}))

    def may_be(self, other: "Voice") -> bool:
        """Whether both may be one person: known by one id, or unknown in a common recording."""
        if self.corpus != other.corpus:
            return False
        if self.speaker_id is not None and other.speaker_id is not None:
            return self.speaker_id == other.speaker_id
        return not self.recording_ids.isdisjoint(other.recording_ids)


@dataclass(frozen=True, eq=False, slots=True)
class Talker:
    """A voice with some of its speech: `samples` is (samples,) float32 at 16 kHz, of power 1."""

    voice: Voice
    samples: Samples


@dataclass(frozen=True, eq=False, slots=True)
class BabblePool:
    """Speech from which babble is mixed; no two talkers may be the same person."""

    talkers: tuple[Talker, ...]


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Babble:
    """Babble for the utterances of a corpus: a `NoiseSource`."""

    pool: BabblePool
    corpus: str
    num_speakers: int
    seed: int

    def noise_for(self, utterance: HasSpeaker) -> Samples:
        """The sum of `num_speakers` talkers of equal power, each from a random place on.

        Talkers who may be the speaker of the utterance are passed over. Raises `UserError` if too
        few others are left.
        """
        talkers, own = self.pool.talkers, Voice.of(self.corpus, utterance)
        ranks, places = fractions(2 * len(talkers), self.seed, BABBLE, utterance.id).reshape(2, -1)
        others = [index for index in np.argsort(ranks) if not talkers[index].voice.may_be(own)]
        if len(others) < self.num_speakers:
            raise UserError(
                f"babble for {utterance.id} needs {self.num_speakers} speakers other than its own,"
                f" found {len(others)}; remove babble from evaluate.noise.kinds"
            )
        mixed = np.zeros(utterance.num_samples, np.float32)
        for index in others[: self.num_speakers]:
            mixed += section(talkers[index].samples, float(places[index]), len(mixed))
        return mixed

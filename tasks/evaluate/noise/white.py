"""White noise."""

from dataclasses import dataclass

from tasks.audio import Samples
from tasks.evaluate.noise.draws import gaussian
from tasks.whisper.streaming import HasLength

WHITE = "white"


@dataclass(frozen=True, kw_only=True, slots=True)
class WhiteNoise:
    """Gaussian noise with the same power at all frequencies: a `NoiseSource`."""

    seed: int

    def noise_for(self, utterance: HasLength) -> Samples:
        """(samples,) float32 with variance 1."""
        return gaussian(utterance.num_samples, self.seed, WHITE, utterance.id)

"""Utterances without speech of their own, for sources that only need their names and length."""

import numpy as np

from tasks.whisper.streaming import Utterance


def spoken(
    id: str, num_samples: int = 16_000, *, speaker: str | None = "ann", recording: str = "tape"
) -> Utterance:
    return Utterance(id, recording, speaker, "", np.zeros(num_samples, np.float32))

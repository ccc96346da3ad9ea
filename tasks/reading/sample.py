"""A window as any training takes it: decoded, with all that is known of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.audio import Samples
from tasks.reading.examples import Example

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A window as a training takes it.

    `samples`: (samples,) float32 at 16 kHz, not padded. `tokens`: (tokens,) int64, the teacher's
    whole label with its special tokens, which say `text`. `previous_tokens` and `previous_text` are
    the same of what this speaker said in the window before; None where there is none, or where it
    is not kept.
    """

    window_id: str
    corpus: str
    utterance_ids: tuple[str, ...]
    samples: Samples
    tokens: Ids
    text: str
    previous_tokens: Ids | None
    previous_text: str | None

    @classmethod
    def of(cls, example: Example) -> "Sample":
        """Decode an example; raises `IntegrityError` when an utterance of it is no audio."""
        previous = example.previous_tokens
        return cls(
            window_id=example.window_id,
            corpus=example.corpus,
            utterance_ids=tuple(clip.utterance_id for clip in example.clips),
            samples=example.samples(),
            tokens=np.array(example.tokens, np.int64),
            text=example.text,
            previous_tokens=None if previous is None else np.array(previous, np.int64),
            previous_text=example.previous_text,
        )

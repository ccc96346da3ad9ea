"""A decoded training example, as the public stream yields it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.audio import Samples
from tasks.reading.examples import Example

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A window with its label.

    `samples`: (samples,) float32 at 16 kHz, not padded. `tokens`: (tokens,) int64, the teacher's
    complete label with special tokens; `text` is the same as text. `previous_tokens` and
    `previous_text` are the label of the same speaker's window before; None if there is none or the
    filter dropped it.
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
        """Decode an example; raises `IntegrityError` if an utterance cannot be decoded."""
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

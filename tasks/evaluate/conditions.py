"""The conditions under which held-out speech is transcribed; from settings alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from configs.evaluate import Algorithm, Evaluate
from tasks.evaluate.findings import CLEAN


@dataclass(frozen=True, kw_only=True, slots=True)
class AddedNoise:
    """A kind of noise, `white`, `babble` or that of a folder, and the power of speech over it."""

    kind: str
    snr_db: int
    num_utterances: int | None = None  # at most so many of a shard; None: all


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """Single utterances, with noise or without, or long recordings by an algorithm."""

    noise: AddedNoise | None = None
    algorithm: Algorithm | None = None

    @property
    def name(self) -> str:
        """`clean`, `white_10db`, `chunked` or `sequential`: the name in results and folders."""
        if self.noise is not None:
            return f"{self.noise.kind}_{self.noise.snr_db}db"
        return self.algorithm or CLEAN


AS_IT_IS: Final = Condition()


def conditions(settings: Evaluate) -> Iterator[Condition]:
    """All conditions of a run, the clean one first."""
    yield AS_IT_IS
    if settings.long_form is not None:
        yield from (Condition(algorithm=one) for one in settings.long_form.algorithms)
    if settings.noise is not None:
        for kind in (*settings.noise.kinds, *settings.noise.folders):
            for snr_db in settings.noise.snr_db:
                yield Condition(noise=AddedNoise(kind=kind, snr_db=snr_db))

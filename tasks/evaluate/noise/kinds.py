"""The source of each kind of noise that the settings name."""

from configs.evaluate import Noise
from tasks.evaluate.conditions import AddedNoise
from tasks.evaluate.noise.babble import BABBLE, Babble, BabblePool
from tasks.evaluate.noise.folder import NoiseFolder
from tasks.evaluate.noise.source import NoiseSource
from tasks.evaluate.noise.white import WHITE, WhiteNoise


def source_of(
    added: AddedNoise, settings: Noise, *, corpus: str, pool: BabblePool | None
) -> NoiseSource:
    """The source of noise for the utterances of a corpus; only babble needs the `pool`.

    Raises `UserError` for a folder without recordings, `ValueError` for babble without a pool.
    """
    if added.kind == WHITE:
        return WhiteNoise(seed=settings.seed)
    if added.kind == BABBLE:
        if pool is None:
            raise ValueError("babble is mixed from a pool of speech; found none")
        return Babble(
            pool=pool,
            corpus=corpus,
            num_speakers=settings.num_babble_speakers,
            seed=settings.seed,
        )
    return NoiseFolder.of(added.kind, settings.folders[added.kind], settings.seed)

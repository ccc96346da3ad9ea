import pytest

from configs.evaluate import Evaluate, Noise
from tasks.evaluate.conditions import AddedNoise, conditions
from tasks.evaluate.noise.babble import Babble, BabblePool
from tasks.evaluate.noise.folder import NoiseFolder
from tasks.evaluate.noise.kinds import source_of
from tasks.evaluate.noise.white import WhiteNoise
from tests.builders import flac, sine


def test_every_kind_of_noise_has_a_source(tmp_path):
    (tmp_path / "a.flac").write_bytes(flac(sine(0.1)))
    noise = Noise(folders={"rain": str(tmp_path)}, seed=3, num_babble_speakers=8)
    pool = BabblePool(())
    found = {
        one.noise.kind: source_of(one.noise, noise, corpus="books", pool=pool)
        for one in conditions(Evaluate(noise=noise))
        if one.noise is not None
    }
    assert found == {
        "white": WhiteNoise(seed=3),
        "babble": found["babble"],
        "rain": NoiseFolder.of("rain", str(tmp_path), seed=3),
    }
    babble = found["babble"]
    assert isinstance(babble, Babble)
    assert (babble.pool, babble.corpus, babble.num_speakers, babble.seed) == (pool, "books", 8, 3)


def test_babble_needs_a_pool():
    with pytest.raises(ValueError, match="mixed from a pool"):
        source_of(AddedNoise(kind="babble", snr_db=0), Noise(), corpus="books", pool=None)

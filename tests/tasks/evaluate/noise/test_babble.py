import numpy as np
import pytest

from storage.errors import UserError
from tasks.evaluate.noise.babble import Babble, BabblePool, Talker, Voice
from tasks.evaluate.noise.mixing import power
from tests.tasks.evaluate.noise.speakers import STEP_HZ, tones_in
from tests.tasks.evaluate.noise.spoken import spoken


def talker(tone, speaker="", recording="tape", corpus="tones"):
    seconds = np.arange(48_000) / 16_000
    samples = np.sqrt(2) * np.sin(2 * np.pi * STEP_HZ * tone * seconds)
    speaker_id = f"speaker{tone}" if speaker == "" else speaker
    return Talker(Voice(corpus, speaker_id, frozenset({recording})), samples.astype(np.float32))


def babble(talkers, num_speakers=6, seed=0):
    return Babble(
        pool=BabblePool(tuple(talkers)), corpus="tones", num_speakers=num_speakers, seed=seed
    )


TEN = [talker(tone) for tone in range(1, 11)]


@pytest.mark.parametrize("num_speakers", [6, 9])
def test_so_many_others_speak_equally_loudly(num_speakers):
    source = babble(TEN, num_speakers)
    for number in range(50):
        own = number % 10 + 1
        found = tones_in(source.noise_for(spoken(f"u{number}", speaker=f"speaker{own}")))
        assert len(found) == num_speakers
        assert own not in found
        assert list(found.values()) == pytest.approx([0.5 * 2] * num_speakers, rel=0.01)


def test_all_speak_for_some_utterances():
    source = babble(TEN)
    mixed = [
        frozenset(tones_in(source.noise_for(spoken(f"u{one}", speaker="guest"))))
        for one in range(40)
    ]
    assert frozenset.union(*mixed) == set(range(1, 11))
    assert len(set(mixed)) > 20


def test_nothing_but_seed_and_id_decides():
    noise = babble(TEN).noise_for(spoken("a"))
    assert np.array_equal(noise, babble(TEN).noise_for(spoken("a")))
    assert not np.array_equal(noise, babble(TEN).noise_for(spoken("b")))
    assert not np.array_equal(noise, babble(TEN, seed=1).noise_for(spoken("a")))


def test_an_utterance_of_an_unknown_speaker_gets_none_of_its_recording():
    others = [talker(tone, recording=f"tape{tone}") for tone in range(1, 9)]
    source = babble([*others, talker(9, speaker=None, recording="x"), talker(10, recording="x")])
    unknown = [spoken(f"u{one}", speaker=None, recording="x") for one in range(30)]
    assert all({9, 10}.isdisjoint(tones_in(source.noise_for(one))) for one in unknown)


def test_a_known_speaker_may_be_an_unknown_one_of_the_same_recording():
    others = [talker(tone, recording=f"tape{tone}") for tone in range(1, 9)]
    source = babble([*others, talker(9, speaker=None, recording="x"), talker(10, recording="x")])
    known = [spoken(f"u{one}", speaker="guest", recording="x") for one in range(30)]
    mixed = [tones_in(source.noise_for(one)) for one in known]
    assert all(9 not in one for one in mixed)
    assert any(10 in one for one in mixed)


def test_an_id_means_another_person_in_another_corpus():
    source = babble([*TEN[:5], talker(6, speaker="ann", corpus="elsewhere")])
    assert 6 in tones_in(source.noise_for(spoken("a", speaker="ann")))


def test_too_few_others_are_an_error():
    with pytest.raises(UserError, match=r"babble for a needs 6 .* found 5; remove babble"):
        babble(TEN[:6]).noise_for(spoken("a", speaker="speaker3"))


def test_speech_is_looped_to_the_length_of_the_utterance():
    noise = babble(TEN).noise_for(spoken("a", 200_000))
    assert len(noise) == 200_000
    assert power(noise[-16_000:]) == pytest.approx(6, rel=0.01)

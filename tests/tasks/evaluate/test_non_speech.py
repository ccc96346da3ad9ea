import numpy as np
import pytest

from configs.evaluate import Noise
from tasks.evaluate.findings import NonSpeech
from tasks.evaluate.non_speech import measure_non_speech, non_speech_windows
from tasks.text.comparison import normaliser
from tasks.whisper.whisper import WhisperEngine
from tests.builders import flac, noise
from tests.tasks.whisper.fake_engine import FakeEngine, decoded

WINDOW = 480_000
SECONDS = [5, 10, 20, 30] * 2


@pytest.fixture
def rain(tmp_path):
    folder = tmp_path / "rain"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.flac").write_bytes(flac(noise(20_000 + number, seed=number)))
    return Noise(kinds=("babble", "white"), folders={"rain": str(folder)}, seed=1)


def level_db(samples):
    with np.errstate(divide="ignore"):
        return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def test_windows_are_silence_hiss_and_recordings_but_no_babble(rain):
    windows = non_speech_windows(rain, WINDOW)
    assert list(windows) == ["silence", "white", "rain"]
    for kind, levels in [("silence", (-np.inf, -80)), ("white", (-50, -30))]:
        assert [len(one) / 16_000 for one in windows[kind]] == SECONDS
        found = [level_db(one) for one in windows[kind]]
        assert found == pytest.approx([*[levels[0]] * 4, *[levels[1]] * 4], abs=0.1)
    assert [len(one) for one in windows["rain"]] == [20_000, 20_001, 20_002]
    assert all(one.dtype == np.float32 for of_kind in windows.values() for one in of_kind)


def test_windows_depend_on_the_seed_alone(rain):
    first, again = (non_speech_windows(rain, WINDOW)["white"] for _ in range(2))
    assert all(map(np.array_equal, first, again))
    other = non_speech_windows(rain.model_copy(update={"seed": 2}), WINDOW)["white"]
    assert not np.array_equal(first[0], other[0])


def test_without_noise_there_is_silence_alone():
    assert list(non_speech_windows(None, WINDOW)) == ["silence"]
    assert list(non_speech_windows(Noise(kinds=()), WINDOW)) == ["silence"]


def test_no_window_is_longer_than_that_of_the_model(rain):
    windows = non_speech_windows(rain, 12_000)
    assert {len(one) for one in windows["rain"]} == {12_000}
    assert max(len(one) for one in windows["silence"]) == 12_000


def test_words_are_counted_by_model_and_kind(rain, label_settings):
    """One writes two words on every noise, and annotations on silence; the other a word on rain."""

    def hallucinates(window, temperature):
        return decoded("[BLANK_AUDIO]" if window.id.startswith("silence") else "Thank you.")

    def nearly_silent(window, temperature):
        return decoded("Rain!" if window.id == "rain/1" else "")

    engines = {"teacher": FakeEngine(hallucinates), "student": FakeEngine(nearly_silent)}
    found = measure_non_speech(engines, rain, label_settings, normaliser("english"))
    assert [(one.model, one.kind, one.num_windows, one.num_windows_with_words, one.num_words)
            for one in found] == [
        ("teacher", "silence", 8, 0, 0),
        ("teacher", "white", 8, 8, 16),
        ("teacher", "rain", 3, 3, 6),
        ("student", "silence", 8, 0, 0),
        ("student", "white", 8, 0, 0),
        ("student", "rain", 3, 1, 1),
    ]  # fmt: skip
    for one in found:
        window_s = FakeEngine.window_samples / 16_000
        expected_s = 60_003 / 16_000 if one.kind == "rain" else 2 * window_s * 13 / 6
        assert one.hours * 3600 == pytest.approx(expected_s, rel=1e-3)


def test_models_transcribe_the_same_windows_greedily(rain, label_settings):
    """A failed check is no reason to decode once more."""
    engines = {name: FakeEngine(lambda *_: decoded("a " * 99, has_end=False)) for name in "ab"}
    engines["b"].window_samples = 16_000
    measure_non_speech(engines, rain, label_settings, normaliser("english"))
    assert sorted(engines["a"].taken) == sorted(engines["b"].taken)
    assert {temperature for temperature, _ in engines["a"].taken} == {0.0}
    assert len(engines["a"].taken) == 19


def test_a_whisper_is_measured(tiny_teacher, label_settings):
    (found,) = measure_non_speech(
        {"teacher": WhisperEngine(tiny_teacher, 3)}, None, label_settings, normaliser("english")
    )
    assert isinstance(found, NonSpeech)
    assert (found.kind, found.num_windows) == ("silence", 8)
    assert found.num_windows_with_words <= found.num_words

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from tasks.demo.speech.voices import (
    ACCENTS,
    VARIANTS,
    SpeechSynthesisError,
    Voice,
    synthesise,
    voice_of_speaker,
)

TEXT = "mister brown didn't see the colour of seven boats"


def digest(samples: np.ndarray) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()


def test_samples_are_float32_at_16_khz_with_a_peak_of_a_half_and_no_silence_around() -> None:
    samples = synthesise(TEXT, voice_of_speaker("somebody"))
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert np.abs(samples).max() == pytest.approx(0.5, abs=1e-3)
    assert 2.0 < samples.size / 16_000 < 6.0
    assert np.abs(samples[:800]).max() > 0.002 and np.abs(samples[-800:]).max() > 0.002


def test_every_accent_and_variant_speaks() -> None:
    names = [f"{accent}+f2" for accent in ACCENTS if accent != "en-us"]
    names += [f"en-us+{variant}" for variant in VARIANTS]
    spoken = [digest(synthesise("seven boats", Voice(name=name))) for name in names]
    assert len(set(spoken)) == len(names)


def test_earlier_speech_changes_nothing() -> None:
    voices = [voice_of_speaker(f"speaker {index}") for index in range(12)]
    forwards = [digest(synthesise(TEXT, voice)) for voice in voices]
    backwards = [digest(synthesise(TEXT, voice)) for voice in reversed(voices)]
    assert forwards == backwards[::-1]


def test_another_process_gives_the_same_samples() -> None:
    programme = (
        "import hashlib; from tasks.demo.speech.voices import synthesise, voice_of_speaker\n"
        "for index in range(4):\n"
        f"    samples = synthesise({TEXT!r}, voice_of_speaker(f'speaker {{index}}'))\n"
        "    print(hashlib.sha256(samples.tobytes()).hexdigest())\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", programme], check=True, capture_output=True, text=True
    )
    here = [digest(synthesise(TEXT, voice_of_speaker(f"speaker {index}"))) for index in range(4)]
    assert there.stdout.split() == here


def test_speakers_differ_and_are_stable() -> None:
    voices = [voice_of_speaker(f"speaker {index}") for index in range(200)]
    assert len(set(voices)) == 200
    assert voices == [voice_of_speaker(f"speaker {index}") for index in range(200)]
    assert len({digest(synthesise("two horses", voice)) for voice in voices[:20]}) == 20


def test_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(SpeechSynthesisError, match="pip install espeakng-loader"):
        synthesise(TEXT, voice_of_speaker("somebody"))


def test_unknown_voice_and_empty_text_are_one_line_errors() -> None:
    with pytest.raises(SpeechSynthesisError, match="no voice 'xx-nowhere'"):
        synthesise(TEXT, Voice(name="xx-nowhere"))
    with pytest.raises(SpeechSynthesisError, match="returned silence"):
        synthesise("", Voice(name="en-us+m1"))
    with pytest.raises(ValueError, match="rate_wpm of voice 'en-us' is 20, expected 80 to 450"):
        Voice(name="en-us", rate_wpm=20)


def test_voices_and_corpora_import_neither_torch_nor_transformers() -> None:
    programme = (
        "import sys\n"
        "import tasks.demo.corpora.write, tasks.demo.speech.grammar, tasks.demo.speech.voices\n"
        "print([name for name in ('torch', 'transformers', 'prefect') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", programme], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"

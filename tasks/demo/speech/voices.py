"""Synthetic speech: espeak-ng, called through its C interface from the wheel `espeakng_loader`.

espeak-ng keeps state in global variables: earlier speech changes the flutter of the next voice, and
initialising it again does not reset that. Every call therefore loads and unloads the library (2 ms)
under a lock, so that the samples depend on text and voice alone.
"""

import _ctypes
import ctypes
import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

SAMPLE_RATE_HZ = 16_000

ACCENTS = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc", "en-029")
# Intelligible variants only: no whisper, croak or robot, and none with the Klatt synthesiser, which
# reads uninitialised memory.
VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Alex",
    "Alicia", "Andrea", "Andy", "Annie", "Gene", "Gene2", "Henrique", "Hugo", "Lee", "Marco",
    "Michael", "Mike", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris",
    "ed", "edward", "ian", "iven", "john", "linda", "marcelo", "max", "michel", "miguel",
    "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph", "steph2",
    "travis", "victor", "zac",
)  # fmt: skip

_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_PARAMETER_RATE, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 3, 4
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_OK = 0
_RANDOM_SEED = 1
_LOCK = threading.Lock()
# Leading and trailing samples below this share of the peak count as silence (-46 dB).
_SILENCE_SHARE = 0.005

FloatArray = npt.NDArray[np.float32]


class SpeechSynthesisError(RuntimeError):
    """The speech synthesiser is not installed, or a request failed."""


@dataclass(frozen=True, kw_only=True)
class Voice:
    """The voice of one speaker.

    `name` is `accent+variant` of espeak-ng; `rate_wpm` is in words per minute; `pitch` and
    `pitch_range` are on its scale of 0 to 99.
    """

    name: str
    rate_wpm: int = 165
    pitch: int = 50
    pitch_range: int = 50

    def __post_init__(self) -> None:
        if not 80 <= self.rate_wpm <= 450:
            raise ValueError(
                f"rate_wpm of voice {self.name!r} is {self.rate_wpm}, expected 80 to 450"
            )
        for label, value in (("pitch", self.pitch), ("pitch_range", self.pitch_range)):
            if not 0 <= value <= 99:
                raise ValueError(f"{label} of voice {self.name!r} is {value}, expected 0 to 99")


def voice_of_speaker(speaker_id: str) -> Voice:
    """The voice of a speaker, derived from the id; different ids nearly always differ."""
    digest = hashlib.sha256(f"distillery speaker {speaker_id}".encode()).digest()
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    accent = ACCENTS[int(rng.integers(len(ACCENTS)))]
    variant = VARIANTS[int(rng.integers(len(VARIANTS)))]
    return Voice(
        name=f"{accent}+{variant}",
        rate_wpm=int(rng.integers(135, 196)),
        pitch=int(rng.integers(25, 76)),
        pitch_range=int(rng.integers(30, 71)),
    )


def synthesise(text: str, voice: Voice) -> FloatArray:
    """Synthesise speech for a text.

    Returns float32 mono samples in [-1, 1] at 16 kHz, without surrounding silence, with a peak of
    0.5. Deterministic. Raises `SpeechSynthesisError` if espeak-ng is not installed, the voice is
    unknown or the text has no words.
    """
    pcm, rate_hz = _speak(text, voice)
    audible = np.flatnonzero(np.abs(pcm) > _SILENCE_SHARE * np.abs(pcm).max(initial=1.0))
    if audible.size == 0:
        raise SpeechSynthesisError(
            f"espeak-ng returned silence for the text {text!r} with voice {voice.name!r}; "
            "the text must contain a word"
        )
    trimmed = pcm[audible[0] : audible[-1] + 1]
    samples = np.asarray(soxr.resample(trimmed, rate_hz, SAMPLE_RATE_HZ), dtype=np.float32)
    return np.asarray(0.5 / np.abs(samples).max() * samples, dtype=np.float32)


def _speak(text: str, voice: Voice) -> tuple[FloatArray, int]:
    """float32 samples (possibly none) and their rate in Hz."""
    chunks: list[bytes] = []

    def collect(wav: int | None, num_samples: int, events: int | None) -> int:
        if wav and num_samples > 0:
            chunks.append(ctypes.string_at(wav, 2 * num_samples))
        return 0

    # The library stores only the address of the callback, so it must stay referenced here.
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
        collect
    )
    encoded = text.encode()
    with _LOCK, _fresh_library() as (library, rate_hz):
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.name.encode()) != _OK:
            raise SpeechSynthesisError(
                f"espeak-ng has no voice {voice.name!r}; expected one of {', '.join(ACCENTS)} "
                "followed by + and a variant such as f2"
            )
        library.espeak_SetParameter(_PARAMETER_RATE, voice.rate_wpm, 0)
        library.espeak_SetParameter(_PARAMETER_PITCH, voice.pitch, 0)
        library.espeak_SetParameter(_PARAMETER_RANGE, voice.pitch_range, 0)
        status = library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        library.espeak_Synchronize()
    if status != _OK:
        raise SpeechSynthesisError(
            f"espeak-ng failed for the text {text!r} with status {status}, expected 0"
        )
    return np.asarray(
        np.frombuffer(b"".join(chunks), dtype="<i2") / 32768.0, dtype=np.float32
    ), rate_hz


@contextmanager
def _fresh_library() -> Iterator[tuple[ctypes.CDLL, int]]:
    """libespeak-ng, freshly loaded and initialised, and its sample rate in Hz."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise SpeechSynthesisError(
            "the speech synthesiser is not installed: no module espeakng_loader; "
            "run: pip install espeakng-loader"
        ) from error
    data_folder = espeakng_loader.get_data_path()
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    ]
    try:
        rate_hz = library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, 0, data_folder.encode(), _INITIALIZE_DONT_EXIT
        )
        if rate_hz <= 0:
            raise SpeechSynthesisError(
                f"espeak-ng failed to initialise with the data in {data_folder}: status {rate_hz}, "
                "expected a sample rate; reinstall it: "
                "pip install --force-reinstall espeakng-loader"
            )
        # The generator of breath noise is otherwise seeded from the clock.
        library.espeak_ng_SetRandSeed(ctypes.c_long(_RANDOM_SEED))
        yield library, rate_hz
        library.espeak_Terminate()
    finally:
        _unload(library)


def _unload(library: ctypes.CDLL) -> None:
    if sys.platform == "win32":
        _ctypes.FreeLibrary(library._handle)
    else:
        _ctypes.dlclose(library._handle)

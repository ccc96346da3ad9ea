"""Converts a Whisper to another format and compares what both write.

The converters are programs, which may run in an interpreter of another environment: the library for
ONNX needs an older transformers than this project.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch

from configs.schema import Label, Teacher
from storage.errors import UserError
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.ship.facts import Comparison, Format
from tasks.ship.generation import generation_settings
from tasks.text.comparison import WordErrors, count_word_errors
from tasks.whisper.model import LoadedWhisper, load_whisper, silent_transformers

_CONVERTERS: Final = Path(__file__).with_name("converters")
_INSTALL: Final = {
    "ctranslate2": "{python} -m pip install ctranslate2 torch transformers",
    "onnx": "python3 -m venv onnx && onnx/bin/pip install 'optimum-onnx[onnxruntime]' accelerate,"
    " and give --python onnx/bin/python",
}
_MISSING: Final = "missing "
_PASSED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TMPDIR|PYTHONPATH|(DY)?LD_\w+|CUDA_\w+|(OMP|MKL|OPENBLAS)_\w+"
)
"""The environment of a converter: what programs and libraries need to run, which is no secret."""


def convert(
    source: Path,
    target: Path,
    format: Format,
    windows: Mapping[str, Samples],
    label: Label,
    *,
    python: str | None = None,
) -> Comparison:
    """Write the Whisper in `source` to `target`, and transcribe `windows` with both.

    Both decode greedily in float32 on the CPU, transformers here and the library of `format` in the
    interpreter `python`, by default this one. Raises `UserError` if that has no such library, with
    the command that installs it, and for a converter that fails.
    """
    whisper = load_whisper(Teacher(path=str(source)), "float32", "cpu")
    settings = generation_settings(source, label)
    with TemporaryDirectory() as temporary:
        speech = Path(temporary) / "speech.npz"
        arrays: dict[str, Any] = dict(windows)  # savez has a keyword of another type too
        np.savez(speech, **arrays)
        words = (source, target, speech, json.dumps(settings))
        written = _run(format, python or sys.executable, f"to_{format}", *words)
    found = json.loads(written.splitlines()[-1])
    expected = _texts(whisper, windows, settings)
    return compare(found["library"], expected, found["texts"])


def compare(library: str, expected: list[str], found: list[str]) -> Comparison:
    """The comparison of the texts of a library with those of transformers, window by window.

    White space around a text does not count.
    """
    pairs = [(one.strip(), other.strip()) for one, other in zip(expected, found, strict=True)]
    different = [pair for pair in pairs if pair[0] != pair[1]]
    errors = sum(count_word_errors(*map(list, zip(*pairs, strict=True))), WordErrors())
    return Comparison(
        library=library,
        num_windows=len(pairs),
        num_same=len(pairs) - len(different),
        num_words=errors.num_reference_words,
        num_word_errors=errors.substitutions + errors.deletions + errors.insertions,
        first_difference=different[0] if different else None,
    )


def quantize_onnx(folder: Path, *, python: str | None = None) -> None:
    """Add 8-bit weights to a Whisper in ONNX; raises as `convert`."""
    _run("onnx", python or sys.executable, "quantize_onnx", folder)


def _texts(
    whisper: LoadedWhisper, windows: Mapping[str, Samples], settings: Mapping[str, Any]
) -> list[str]:
    texts: list[str] = []
    with torch.no_grad(), silent_transformers():
        for samples in windows.values():
            features = whisper.feature_extractor(
                samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
            ).input_features
            tokens: Any = whisper.model.generate(features, do_sample=False, num_beams=1, **settings)
            texts += whisper.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return texts


def _run(format: Format, python: str, program: str, *arguments: str | Path) -> str:
    """What a program of `converters` writes; raises `UserError` if it cannot run or fails."""
    words = [python, _CONVERTERS / f"{program}.py", *arguments]
    kept = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
    try:
        done = subprocess.run(
            list(map(str, words)),
            env={**kept, "HF_HUB_OFFLINE": "1"},  # all that it needs is in the folder
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise UserError(
            f"--python {python} is no program that runs ({error.strerror}); give the path of a"
            " Python interpreter"
        ) from error
    if done.returncode:
        raise UserError(_explained(format, python, done.stderr))
    return done.stdout


def _explained(format: Format, python: str, stderr: str) -> str:
    last = (stderr.strip().splitlines() or ["no message"])[-1]
    if last.startswith(_MISSING):
        install = _INSTALL[format].format(python=shlex.quote(python))
        return f"{python} has no {last.removeprefix(_MISSING)}, which {format} needs: {install}"
    return (
        f"the converter to {format} failed in {python}: {last}; check the versions of its libraries"
    )

"""Converts a Whisper to CTranslate2, and transcribes speech with what it wrote.

Runs by its path, with nothing of this project: `to_ctranslate2.py SOURCE TARGET SPEECH SETTINGS`.
SPEECH is an .npz file of windows at 16 kHz. SETTINGS are JSON: `max_new_tokens` and, but for a
model of English alone, `language` and `task`. Writes the library's version and a text for each
window as JSON.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_RATE_HZ = 16_000
_COPIED = (
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


def main(source: Path, target: Path, speech: str, settings: Mapping[str, Any]) -> None:
    """Convert, load the result with CTranslate2 and the tokenizer beside it, and transcribe."""
    try:
        import ctranslate2
        import numpy as np
        from ctranslate2.converters import TransformersConverter
        from tokenizers import Tokenizer
        from transformers import WhisperFeatureExtractor
    except ModuleNotFoundError as error:  # an unfit version raises another ImportError
        sys.exit(f"missing {error.name}")
    copied = [name for name in _COPIED if (source / name).is_file()]
    TransformersConverter(str(source), copy_files=copied).convert(str(target), force=True)
    model = ctranslate2.models.Whisper(str(target), device="cpu", compute_type="float32")
    extractor = WhisperFeatureExtractor.from_pretrained(target)
    tokenizer = Tokenizer.from_file(str(target / "tokenizer.json"))
    names = [settings[key] for key in ("language", "task") if key in settings]
    prompt = [
        tokenizer.token_to_id(f"<|{name}|>")
        for name in ("startoftranscript", *names, "notimestamps")
    ]
    texts = []
    with np.load(speech) as windows:
        for name in windows.files:
            features = extractor(windows[name], sampling_rate=_RATE_HZ, return_tensors="np")
            [result] = model.generate(
                ctranslate2.StorageView.from_array(features["input_features"]),
                [prompt],
                beam_size=1,
                max_length=2
                * settings["max_new_tokens"],  # it reserves half of it for previous text
            )
            texts.append(tokenizer.decode(result.sequences_ids[0]))
    found = {"library": f"ctranslate2 {ctranslate2.__version__}", "texts": texts}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))

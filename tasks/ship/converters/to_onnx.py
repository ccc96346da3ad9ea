"""Converts a Whisper to ONNX with Optimum, and transcribes speech with what it wrote.

Runs by its path, with nothing of this project: `to_onnx.py SOURCE TARGET SPEECH SETTINGS`.
SPEECH is an .npz file of windows at 16 kHz. SETTINGS are JSON: `max_new_tokens` and, but for a
model of English alone, `language` and `task`. Writes the library's version and a text for each
window as JSON.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_RATE_HZ = 16_000
_TOKENIZER = "tokenizer_config.json"


def main(source: Path, target: Path, speech: str, settings: Mapping[str, Any]) -> None:
    """Convert, load the result as Optimum's users do, and transcribe with ONNX Runtime."""
    try:
        import numpy as np
        import onnxruntime
        from optimum.exporters.onnx import main_export
        from optimum.onnxruntime import ORTModelForSpeechSeq2Seq
        from transformers import AutoProcessor
    except ModuleNotFoundError as error:  # an unfit version raises another ImportError
        sys.exit(f"missing {error.name}")
    # with the cache of keys and values, which decoding token by token needs
    task = "automatic-speech-recognition-with-past"
    frames = 2 * json.loads((source / "config.json").read_text())["max_source_positions"]
    with TemporaryDirectory() as temporary:
        _link(source, Path(temporary))
        main_export(temporary, target, task=task, do_validation=False, nb_max_frames=frames)
    _arrange(target)
    model = ORTModelForSpeechSeq2Seq.from_pretrained(target)
    processor = AutoProcessor.from_pretrained(target)
    texts = []
    with np.load(speech) as windows:
        for name in windows.files:
            features = processor(windows[name], sampling_rate=_RATE_HZ, return_tensors="pt")
            tokens = model.generate(
                features.input_features, do_sample=False, num_beams=1, **settings
            )
            texts += processor.batch_decode(tokens, skip_special_tokens=True)
    found = {"library": f"onnxruntime {onnxruntime.__version__}", "texts": texts}
    sys.stdout.write(json.dumps(found) + "\n")


def _link(source: Path, folder: Path) -> None:
    """The same model as transformers 4 reads it, which names the special tokens otherwise."""
    for file in source.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    config = json.loads((source / _TOKENIZER).read_text())
    if isinstance(tokens := config.get("extra_special_tokens"), list):
        del config["extra_special_tokens"]
        (folder / _TOKENIZER).unlink()
        (folder / _TOKENIZER).write_text(
            json.dumps({**config, "additional_special_tokens": tokens}, indent=2)
        )


def _arrange(target: Path) -> None:
    """Keep one decoder for all tokens, in the folder `onnx`, where transformers.js looks too."""
    folder = target / "onnx"
    folder.mkdir()
    for name in ("encoder_model", "decoder_model_merged"):
        for file in list(target.glob(f"{name}.onnx*")):  # weights of over 2 GB are beside it
            file.rename(folder / file.name)
    for file in target.glob("decoder_*.onnx*"):
        file.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))

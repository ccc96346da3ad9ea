"""Models of the page without weights, for tests in which nothing is transcribed."""

import shutil
import sys
from pathlib import Path

from flows.compare.models import WebModel
from tests.flows.running import TEACHER

CONVERTER = """\
import json, pathlib, shutil, sys
import numpy as np
folder = pathlib.Path(sys.argv[1])
if len(sys.argv) == 2:
    for part in (folder / "onnx").iterdir():
        part.with_name(part.stem + "_quantized.onnx").write_bytes(part.read_bytes()[:3])
    raise SystemExit
target = pathlib.Path(sys.argv[2])
shutil.copytree(folder, target, dirs_exist_ok=True)
(target / "onnx").mkdir()
(target / "onnx" / "encoder_model.onnx").write_text("encoder")
(target / "onnx" / "decoder_model_merged.onnx").write_text(sys.argv[1])
texts = ["a text that no model writes"] * len(np.load(sys.argv[3]).files)
print(json.dumps({"library": "onnxruntime 1", "texts": texts}))
"""
"""Takes the place of the converters: copies the model, and writes parts without weights."""


def interpreter(folder: Path, script: str) -> str:
    """A program that runs a script, whatever program it is asked to run."""
    program = folder / "python"
    program.write_text(f"#!{sys.executable}\nimport sys; sys.argv[1:2] = []\n{script}")
    program.chmod(0o755)
    return str(program)


def stand_in(folder: Path, name: str) -> WebModel:
    """The demo's teacher without its weights, in a new folder."""
    ignored = shutil.ignore_patterns("*.safetensors", "*.md")
    shutil.copytree(TEACHER, folder, ignore=ignored)
    (folder / "onnx").mkdir()
    for part in ("encoder_model", "decoder_model_merged"):
        (folder / "onnx" / f"{part}.onnx").write_bytes(f"{part} of {name}".encode())
    return WebModel(name=name, folder=folder, dtype="fp32")

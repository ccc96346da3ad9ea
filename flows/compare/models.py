"""Models in ONNX as a browser loads them: converted once, kept in the scratch folder."""

import filecmp
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from configs.schema import Label
from storage.errors import UserError
from tasks.audio import Samples
from tasks.ship.facts import Comparison
from tasks.ship.folder import new_folder
from tasks.ship.generation import generation_settings

Dtype = Literal["fp32", "q8"]
"""The weights of a page, as transformers.js names them: 32-bit floats, or 8-bit integers."""

FOLDER: Final = "onnx"
_PARTS: Final = ("encoder_model", "decoder_model_merged")
_SUFFIXES: Final[Mapping[Dtype, str]] = {"fp32": ".onnx", "q8": "_quantized.onnx"}
_MAX_BYTES: Final = 2**31
"""What a browser reads into one buffer."""


@dataclass(frozen=True, kw_only=True)
class WebModel:
    """A model for the page: its name there, and its folder."""

    name: str
    folder: Path
    dtype: Dtype

    @property
    def files(self) -> Mapping[str, Path]:
        """The files that a browser asks for, by their path in the folder."""
        metadata = {path.name: path for path in self.folder.glob("*.json")}
        return {**metadata, **{f"onnx/{path.name}": path for path in self.weights}}

    @property
    def weights(self) -> Sequence[Path]:
        """The encoder's and the decoder's file."""
        return [self.folder / "onnx" / f"{part}{_SUFFIXES[self.dtype]}" for part in _PARTS]

    def described(self, label: Label) -> dict[str, Any]:
        """What the page states of it, and how it asks it for text."""
        config = _read(self.folder / "config.json")
        return {
            "name": self.name,
            "encoder_layers": config["encoder_layers"],
            "decoder_layers": config["decoder_layers"],
            "num_bytes": sum(path.stat().st_size for path in self.weights),
            "window_samples": _read(self.folder / "preprocessor_config.json")["n_samples"],
            "generation": generation_settings(self.folder, label),
        }

    def has_encoder_of(self, other: "WebModel") -> bool:
        """Whether both use one file, which `convert_for_web` makes of two that are equal."""
        return self.weights[0].samefile(other.weights[0])


def web_folder(scratch: Path, identity: str, dtype: Dtype) -> Path:
    """Where a model is kept; `identity` says which weights it has."""
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return scratch / FOLDER / (key if dtype == "fp32" else f"{key}-{dtype}")


def convert_for_web(
    source: Path,
    target: Path,
    windows: Mapping[str, Samples],
    label: Label,
    *,
    python: str | None = None,
) -> Comparison:
    """Convert the model in `source` to float32 ONNX in `target`, and compare what both write.

    An encoder that another model in the folder above has too is stored once. Raises `UserError` as
    the conversion does, and for a model that is too large for a browser.
    """
    from tasks.ship.convert import convert  # takes seconds, and most calls do without

    with new_folder(target) as written:
        comparison = convert(source, written, "onnx", windows, label, python=python)
        for path in (written / "onnx").iterdir():
            _require_loadable(path, source)
        _share(written / "onnx" / "encoder_model.onnx", target.parent)
    return comparison


def quantize_for_web(source: Path, target: Path, *, python: str | None = None) -> None:
    """Write the model in `source`, float32 ONNX, with 8-bit weights to `target`."""
    from tasks.ship.convert import quantize_onnx

    with new_folder(target) as written:
        shutil.copytree(source, written, dirs_exist_ok=True)
        quantize_onnx(written, python=python)
        for part in _PARTS:
            (written / "onnx" / f"{part}.onnx").unlink()
        _share(written / "onnx" / "encoder_model_quantized.onnx", target.parent)


def _require_loadable(path: Path, source: Path) -> None:
    """Raise `UserError` for weights that ONNX has to store in a second file, or nearly."""
    if path.suffix != ".onnx" or path.stat().st_size >= _MAX_BYTES:
        raise UserError(
            f"{source} is too large for a browser, which reads at most 2 GB at once; compare"
            " smaller models, or measure with `distillery evaluate CONFIG`"
        )


def _share(path: Path, folder: Path) -> None:
    """Link to a file of another model with the same contents, where the disk has links."""
    for other in sorted(folder.glob(f"*/onnx/{path.name}")):
        if not other.samefile(path) and filecmp.cmp(path, other, shallow=False):
            path.unlink()
            path.hardlink_to(other)
            return


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

"""What is known of a student, as values: all that its card is made of."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from storage.errors import UserError
from storage.manifest import Manifest
from storage.receipt import Receipt
from tasks.evaluate.findings import Interval
from tasks.evaluate.result import Report

Format = Literal["hf", "ctranslate2", "onnx"]
"""How the weights are stored: as transformers does, for CTranslate2, or for ONNX Runtime."""

_LENGTH_BYTES: Final = 8
_MAX_HEADER_BYTES: Final = 100_000_000
"""What the safetensors library accepts."""


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """The size of a Whisper; tied weights count once."""

    num_parameters: int
    encoder_layers: int
    decoder_layers: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The texts of a converted student, by the library that reads it, beside transformers' own.

    Greedy decoding of windows of held-out speech. `num_word_errors` are those of the converted
    student, with the text of transformers as the reference.
    """

    library: str  # with its version
    num_windows: int
    num_same: int
    num_words: int
    num_word_errors: int
    first_difference: tuple[str, str] | None = None  # of transformers, of the library

    @property
    def summary(self) -> str:
        """What was found, as a clause."""
        if self.num_same == self.num_windows:
            words = f"{self.num_words:,} words"
            return f"the same text as transformers in all {self.num_windows} windows, {words}"
        return (
            f"the same text as transformers in {self.num_same} of {self.num_windows} windows, with"
            f" {self.num_word_errors:,} errors in {self.num_words:,} words"
        )

    @property
    def told(self) -> str:
        """What was found, as a sentence without its full stop, with the first difference."""
        text = f"{self.library} writes {self.summary}"
        if self.first_difference is None:
            return text
        expected, found = self.first_difference
        return f"{text}; the first: {expected!r} became {found!r}"


@dataclass(frozen=True, kw_only=True)
class StudentFacts:
    """A student and how it was made.

    `settings` are all of its training, by name. `window_samples` is the length of its window at
    16 kHz. `hub_data` names the data set on the Hub of each corpus that has one. Without a `report`
    it is not evaluated; `intervals` are those of the report, by model and then by corpus, where
    `all` is all speech.
    """

    manifest: Manifest
    receipt: Receipt
    teacher: str  # its identity: hub@revision, or sha256:...
    settings: Mapping[str, Any]
    num_steps: int
    size: ModelSize
    window_samples: int
    evaluated_role: str
    hub_data: Mapping[str, str] = field(default_factory=dict)
    report: Report | None = None
    intervals: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the model is called: the name and number of its manifest."""
        return f"{self.manifest.name}-{self.manifest.number}-student"

    @property
    def teacher_on_hub(self) -> tuple[str, str] | None:
        """Repository and revision of a teacher from the Hub, or None."""
        if self.teacher.startswith("sha256:"):
            return None
        repository, _, revision = self.teacher.rpartition("@")
        return repository, revision

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the labels."""
        content = self.manifest.content
        corpora = self.manifest.licences
        return tuple(
            sorted({str(content.settings(name).get("label.language", "en")) for name in corpora})
        )


def model_size(folder: Path) -> ModelSize:
    """The size of the model in a folder, from its configuration and the header of its weights.

    The format of the header is that of the safetensors library. Raises `UserError` if it is
    another.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with (folder / "model.safetensors").open("rb") as file:
            num_bytes = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header = json.loads(file.read(min(num_bytes, _MAX_HEADER_BYTES)))
        header.pop("__metadata__", None)
        return ModelSize(
            num_parameters=sum(math.prod(tensor["shape"]) for tensor in header.values()),
            encoder_layers=int(config["encoder_layers"]),
            decoder_layers=int(config["decoder_layers"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder} holds no Whisper with config.json and model.safetensors"
            f" ({type(error).__name__}: {error}); check the student with `distillery run CONFIG`"
        ) from error


def window_samples(folder: Path) -> int:
    """The length of the window of the model in a folder, in samples at 16 kHz."""
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    length: int = settings["n_samples"]
    return length

"""How a converted Whisper is asked for text: options of `generate` that all libraries have."""

import json
from pathlib import Path
from typing import Any

from configs.schema import Label


def generation_settings(folder: Path, label: Label) -> dict[str, Any]:
    """Options for the model in `folder`: `max_new_tokens`, half of the decoder's positions.

    A model of several languages needs `language` and `task` too, those of the labels.
    """
    config = _read(folder / "config.json")
    settings: dict[str, Any] = {"max_new_tokens": int(config["max_target_positions"]) // 2}
    generation = folder / "generation_config.json"
    if not generation.is_file() or _read(generation).get("is_multilingual", True):
        settings |= {"language": label.language, "task": label.task}
    return settings


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found

"""The windows that the teacher transcribes: how many, and how full they are.

Estimated from hours and utterances before labelling, counted by receipts after it.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from configs.schema import Columns, RunConfig, Teacher
from flows.state.corpus_state import CorpusState
from storage.errors import UserError
from storage.receipt import Receipt

WHISPER_WINDOW_S: Final = 30.0

TYPICAL_FILL: Final = 0.9
"""How full packed windows are, roughly: 0.79 to 0.94 was measured on real speech."""

_TYPICAL_UTTERANCE_S: Final = 10.0
"""What an utterance lasts where nothing says so."""

_POSITIONS_PER_S: Final = 50  # of the encoder: 10 ms a frame, two frames a position


def window_s(folder: Path) -> float:
    """The longest audio, in seconds, that the teacher in a folder takes at once.

    Raises `UserError` if its settings cannot be read.
    """
    path = folder / "config.json"
    try:
        described: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); copy the model again") from error
    positions = described.get("max_source_positions") if isinstance(described, dict) else None
    if not isinstance(positions, int) or positions < 1:
        return WHISPER_WINDOW_S
    return positions / _POSITIONS_PER_S


def window_fill(labels: Iterable[Receipt]) -> float | None:
    """The share of the windows' length that holds audio, by receipts of `label`.

    None without windows, or where a receipt does not say how long they are.
    """
    hours = total_s = 0.0
    for receipt in labels:
        length_s = receipt.recorded.get("window_s")
        if not isinstance(length_s, int | float):
            return None
        hours += receipt.hours
        total_s += receipt.output.num_rows * length_s
    return hours * 3600 / total_s if total_s else None


class WindowEstimate:
    """Estimates the windows of a corpus; shards labelled already say how full they are."""

    def __init__(self, state: CorpusState, mean_utterance_s: float | None) -> None:
        self._window_s = _window_s(state.config.label.teacher)
        self._utterance_s = mean_utterance_s or _TYPICAL_UTTERANCE_S
        self._fill: float | None = None
        if _are_packed(state.config, state.corpus.name):
            shards = state.shards("train")
            labels = [one.receipts["label"] for one in shards if "label" in one.receipts]
            self._fill = window_fill(labels) or TYPICAL_FILL

    def num_windows(self, hours: float, num_utterances: int | None = None) -> int:
        """The windows of so much speech; without a plan the number of utterances is estimated."""
        if num_utterances is None:
            num_utterances = math.ceil(hours * 3600 / self._utterance_s)
        if self._fill is None:
            return num_utterances
        return min(num_utterances, math.ceil(hours * 3600 / (self._fill * self._window_s)))


def has_voices(columns: Columns) -> bool:
    """Whether a table says which utterances have a speaker or at least a recording in common."""
    return any((columns.speaker, columns.recording, columns.start_s))


def _window_s(teacher: Teacher) -> float:
    """That of Whisper for a model of the Hub and for a folder that is not there."""
    folder = teacher.folder
    is_here = folder is not None and (folder / "config.json").is_file()
    return window_s(folder) if folder is not None and is_here else WHISPER_WINDOW_S


def _are_packed(config: RunConfig, corpus: str) -> bool:
    """Whether utterances of a corpus can share windows."""
    local = config.corpora[corpus].local
    if config.label.pack != "speaker" or local is None:
        return config.label.pack != "none"
    return has_voices(local.columns) or config.normalise.segment == "vad"

"""Which column of a table holds what, by the names that published data sets give them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from configs.schema import Columns
from storage.errors import UserError

_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "audio": (
        "audio", "audio_filepath", "audio_path", "audio_file", "path", "file_name", "filename",
        "file", "wav", "wav_path",
    ),
    "text": (
        "text", "sentence", "transcript", "transcription", "raw_text", "normalized_text",
        "raw_transcription", "reference",
    ),
    "id": ("id", "utterance_id", "utt_id", "segment_id", "uid", "key"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk_id", "spk", "speaker_name"),
    "recording": ("recording", "recording_id", "session_id", "session", "meeting_id"),
    "start_s": ("start_s", "start", "start_time", "begin_time", "offset"),
    "end_s": ("end_s", "end", "end_time"),
    "duration_s": ("duration_s", "duration", "audio_duration", "length_s"),
}  # fmt: skip
"""The key of `Columns`, and the names that are taken for it: the first one that is there."""


def detect_columns(names: Collection[str], where: str) -> Columns:
    """The columns of a table by its names; raises `UserError` where none can be the audio.

    >>> found = detect_columns(["path", "sentence", "client_id", "age"], "train.parquet")
    >>> found.audio, found.text, found.speaker, found.duration_s
    ('path', 'sentence', 'client_id', None)
    """
    by_lower = {name.lower(): name for name in reversed(list(names))}
    found: dict[str, Any] = {
        key: next((by_lower[name] for name in wanted if name in by_lower), None)
        for key, wanted in _NAMES.items()
    }
    if found["audio"] is None:
        raise UserError(
            f"{where} has the columns {', '.join(names)}, and none of them is known to hold audio"
            f" ({', '.join(_NAMES['audio'])}); rename one, or write the block `columns` by hand as"
            " docs/add-a-corpus.md shows"
        )
    return Columns(**found)


def without_columns(columns: Columns, *keys: str) -> Columns:
    """The columns but for some keys, as if the table had none of these."""
    return columns.model_copy(update=dict.fromkeys(keys))


def has_unique(values: Sequence[Any]) -> bool:
    """Whether values can be ids: all there, none twice.

    >>> has_unique(["a", "b"]), has_unique(["a", "a"]), has_unique(["a", None])
    (True, False, False)
    """
    return None not in values and "" not in values and len(set(map(str, values))) == len(values)

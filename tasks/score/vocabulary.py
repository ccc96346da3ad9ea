"""The text of each token of a teacher: its vocabulary, read without weights or torch."""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from configs.schema import Teacher
from storage.errors import TransientError, UserError

_FILE: Final = "tokenizer.json"
_NO_TIMESTAMPS: Final = "<|notimestamps|>"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`text` maps text token ids to strings of the byte-level alphabet, one character per byte.

    `zero_time_id` is the timestamp 0.00, followed by the others in steps of 0.02 s; None for a
    teacher that is not a Whisper.
    """

    text: Sequence[str]
    zero_time_id: int | None

    def is_timed(self, tokens: Sequence[int]) -> bool:
        """Whether a label has timestamps."""
        zero = self.zero_time_id
        return zero is not None and any(token >= zero for token in tokens)

    def num_prompt_tokens(self, tokens: Sequence[int]) -> int:
        """The number of prompt tokens at the start of a label.

        The start token, with which a label begins, has a higher id than all text and the end token.
        """
        for position, token in enumerate(tokens):
            if token < tokens[0] or (self.zero_time_id is not None and token >= self.zero_time_id):
                return position
        return len(tokens)


@functools.lru_cache(maxsize=2)
def vocabulary(teacher: Teacher) -> Vocabulary:
    """The vocabulary of a teacher; for a hub model one small file is downloaded.

    Raises `UserError` for a missing or unreadable tokenizer, `TransientError` when the hub is
    unreachable.
    """
    path = folder / _FILE if (folder := teacher.folder) is not None else _download(teacher)
    try:
        return _parsed(json.loads(path.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"the teacher's {path} is not a readable tokenizer ({error}); windows of several"
            " utterances need one: create it with save_pretrained of transformers"
        ) from error


def _parsed(tokenizer: Mapping[str, Any]) -> Vocabulary:
    ids: Mapping[str, int] = tokenizer["model"]["vocab"]
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    by_id = {number: token for token, number in ids.items()}
    no_timestamps = added.get(_NO_TIMESTAMPS)
    return Vocabulary(
        text=tuple(by_id.get(number, "") for number in range(max(by_id, default=-1) + 1)),
        zero_time_id=None if no_timestamps is None else no_timestamps + 1,
    )


def _download(teacher: Teacher) -> Path:
    try:
        return Path(hf_hub_download(str(teacher.hub), _FILE, revision=teacher.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise TransientError(
            f"{_FILE} of {teacher.hub}@{teacher.revision} cannot be downloaded"
            f" ({type(error).__name__}); check the network, or copy the model to a folder and set"
            " `path`"
        ) from error

"""What each token of a teacher writes: its vocabulary alone, without weights and without torch."""

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
    """`text`: each token of text by its id, in the byte-level alphabet, one letter for each byte.

    `zero_time_id` is the timestamp 0.00, behind which the others stand in steps of 0.02 s; None for
    a teacher that is no Whisper.
    """

    text: Sequence[str]
    zero_time_id: int | None

    def is_timed(self, tokens: Sequence[int]) -> bool:
        """Whether a label has timestamps."""
        zero = self.zero_time_id
        return zero is not None and any(token >= zero for token in tokens)

    def num_prompt_tokens(self, tokens: Sequence[int]) -> int:
        """How many tokens at the start of a label were given to the teacher.

        The token that a label begins with stands behind all text and the end token.
        """
        for place, token in enumerate(tokens):
            if token < tokens[0] or (self.zero_time_id is not None and token >= self.zero_time_id):
                return place
        return len(tokens)


@functools.lru_cache(maxsize=2)
def vocabulary(teacher: Teacher) -> Vocabulary:
    """The vocabulary of a teacher; of a hub model one small file is fetched.

    Raises `UserError` where there is no tokenizer, `TransientError` when the hub does not answer.
    """
    path = folder / _FILE if (folder := teacher.folder) is not None else _fetched(teacher)
    try:
        described: Mapping[str, Any] = json.loads(path.read_bytes())
        ids: Mapping[str, int] = described["model"]["vocab"]
        added = {token["content"]: token["id"] for token in described["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the teacher's {path} is no tokenizer ({error}); windows of several utterances need"
            " one: write it with save_pretrained of transformers"
        ) from error
    by_id = {number: token for token, number in ids.items()}
    zero = added.get(_NO_TIMESTAMPS)
    return Vocabulary(
        text=tuple(by_id.get(number, "") for number in range(max(by_id, default=-1) + 1)),
        zero_time_id=None if zero is None else zero + 1,
    )


def _fetched(teacher: Teacher) -> Path:
    try:
        return Path(hf_hub_download(str(teacher.hub), _FILE, revision=teacher.revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise TransientError(
            f"{_FILE} of {teacher.hub}@{teacher.revision} cannot be fetched"
            f" ({type(error).__name__}); check the network, or copy the model to a folder and give"
            " its `path`"
        ) from error

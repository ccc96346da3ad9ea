"""Which weights a teacher is, for fingerprints: digests of files, so no torch.

Cheap to ask again: a file's digest is kept for as long as its size and time of change stay.
"""

import functools
import hashlib
from pathlib import Path
from typing import Final

from configs.schema import Teacher
from storage.errors import UserError

MODEL_FILES: Final = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "model.safetensors.index.json",
)
"""The files, beside the weights in safetensors, that decide what a Whisper writes."""


def teacher_identity(settings: Teacher) -> str:
    """`sha256:…` over the model's files for a folder, `hub@revision` for a model of the hub.

    The folder's own place and name, and files that are not the model's, do not count. Raises
    `UserError` where the folder is missing or holds no model in safetensors.
    """
    if (folder := settings.folder) is None:
        return f"{settings.hub}@{settings.revision}"
    digest = hashlib.sha256()
    for file in model_files(folder):
        digest.update(f"{file.name} {_sha256(file)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def model_files(folder: Path) -> list[Path]:
    """The files of a model in Hugging Face format, in order of name; raises `UserError`."""
    if not folder.is_dir():
        raise UserError(
            f"no teacher at {str(folder)!r}: expected a folder with a Whisper in Hugging Face"
            " format; correct the `path` of the teacher, or give `hub` and `revision`"
        )
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        found = ", ".join(sorted(file.name for file in folder.iterdir())) or "nothing"
        raise UserError(
            f"the folder {str(folder)!r} holds no Whisper: expected config.json and weights in"
            f" model*.safetensors, found {found}; write it with save_pretrained of transformers"
        )
    described = [folder / name for name in MODEL_FILES if (folder / name).is_file()]
    return sorted([*described, *weights])


def _sha256(file: Path) -> str:
    stat = file.stat()
    return _sha256_of_version(str(file.resolve()), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256_of_version(path: str, size_bytes: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

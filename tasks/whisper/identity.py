"""The identity of a teacher's weights, for fingerprints: file digests, computed without torch.

A file is hashed once per process as long as its size and modification time stay the same.
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
"""The files that determine a Whisper's output, besides the weights in safetensors."""


def teacher_identity(settings: Teacher) -> str:
    """`sha256:…` over the model's files for a folder, `hub@revision` for a model of the hub.

    The location and name of the folder and unrelated files in it do not matter. Raises `UserError`
    if the folder is missing or holds no model in safetensors.
    """
    if (folder := settings.folder) is None:
        return f"{settings.hub}@{settings.revision}"
    digest = hashlib.sha256()
    for file in model_files(folder):
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def model_files(folder: Path) -> list[Path]:
    """The files of a model in Hugging Face format, sorted by name; raises `UserError`."""
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
            f" model*.safetensors, found {found}; create it with save_pretrained of transformers"
        )
    metadata = [folder / name for name in MODEL_FILES if (folder / name).is_file()]
    return sorted([*metadata, *weights])


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file, from memory while its size and modification time stay the same."""
    stat = file.stat()
    return _sha256_of_version(str(file.resolve()), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256_of_version(path: str, size_bytes: int, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

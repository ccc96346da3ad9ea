"""What decides a transcript besides the model and its audio: the condition it was made under."""

import hashlib
from pathlib import Path

from configs.evaluate import LongForm, Noise
from configs.schema import RunConfig
from storage.errors import UserError
from storage.fingerprint import Hashable
from tasks.evaluate.conditions import AddedNoise, Condition
from tasks.whisper.identity import file_sha256

_FALLBACK = ("temperatures", "max_compression_ratio", "min_avg_logprob", "max_no_speech_prob")


def condition_parameters(config: RunConfig, condition: Condition) -> dict[str, Hashable]:
    """The parameters of a condition for a fingerprint; none for single utterances as they are.

    Raises `UserError` for a folder of noise that does not exist.
    """
    settings = config.evaluate
    if condition.algorithm is not None:
        return _of_long_form(config, settings.long_form or LongForm(), condition.algorithm)
    if condition.noise is not None:
        return _of_noise(settings.noise or Noise(), condition.noise)
    return {}


def _of_long_form(config: RunConfig, settings: LongForm, algorithm: str) -> dict[str, Hashable]:
    shared: dict[str, Hashable] = {"algorithm": algorithm, "join": settings.join}
    if algorithm == "chunked":
        return {**shared, "chunk_s": settings.chunk_s, "overlap_s": settings.overlap_s}
    label = config.label.model_dump(mode="json")
    return {**shared, **{name: label[name] for name in _FALLBACK}}


def _of_noise(settings: Noise, noise: AddedNoise) -> dict[str, Hashable]:
    found: dict[str, Hashable] = {
        "noise": noise.kind,
        "snr_db": noise.snr_db,
        "seed": settings.seed,
        "num_utterances": noise.num_utterances,
    }
    if noise.kind == "babble":
        found["num_babble_speakers"] = settings.num_babble_speakers
    if noise.kind in settings.folders:
        found["recordings"] = folder_identity(Path(settings.folders[noise.kind]).expanduser())
    return found


def folder_identity(folder: Path) -> str:
    """A digest of the names and contents of all files below a folder; raises `UserError`."""
    if not folder.is_dir():
        raise UserError(
            f"no folder {str(folder)!r}, which evaluate.noise.folders names; correct the path"
        )
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()} {file_sha256(file)}\n".encode())
    return digest.hexdigest()

"""What decides a transcript besides the model and its audio: the condition it was made under."""

import functools
import hashlib
from pathlib import Path

from configs.evaluate import LongForm, Noise
from configs.schema import RunConfig
from storage.errors import UserError
from storage.fingerprint import Hashable
from tasks.corpora.local.rows import AUDIO_SUFFIXES, suffix_of
from tasks.evaluate.conditions import AddedNoise, Condition
from tasks.whisper.identity import teacher_identity

_FALLBACK = ("temperatures", "max_compression_ratio", "min_avg_logprob", "max_no_speech_prob")


def condition_parameters(config: RunConfig, condition: Condition) -> dict[str, Hashable]:
    """The parameters of a condition for a fingerprint; none for single utterances as they are.

    Raises `UserError` for a folder of noise, or of the teacher, that does not exist.
    """
    settings = config.evaluate
    if condition.algorithm is not None:
        return _of_long_form(config, settings.long_form or LongForm(), condition.algorithm)
    if condition.noise is not None:
        return _of_noise(settings.noise or Noise(), condition.noise)
    return {}


def _of_long_form(config: RunConfig, settings: LongForm, algorithm: str) -> dict[str, Hashable]:
    shared: dict[str, Hashable] = {
        "algorithm": algorithm,
        "join": settings.join,
        # recordings are long if they are longer than its window
        "window_of": teacher_identity(config.label.teacher),
    }
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
    """A digest of the names and contents of all recordings below a folder; raises `UserError`.

    They are hashed once per process as long as names, sizes and modification times stay the same.
    """
    if not folder.is_dir():
        raise UserError(
            f"no folder {str(folder)!r}, which evaluate.noise.folders names; correct the path"
        )
    found = (path for path in folder.rglob("*") if suffix_of(path.name) in AUDIO_SUFFIXES)
    listing = sorted(
        (path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns)
        for path in found
        if path.is_file() and (stat := path.stat())
    )
    return _contents_digest(folder.resolve(), tuple(listing))


@functools.lru_cache(maxsize=64)
def _contents_digest(folder: Path, listing: tuple[tuple[str, int, int], ...]) -> str:
    """By folder and not by file, because there may be thousands of files."""
    digest = hashlib.sha256()
    for name, _, _ in listing:
        with (folder / name).open("rb") as file:
            digest.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()

"""Whether the models of a run can be had, and what else its evaluation needs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import hf_hub_url, try_to_load_from_cache

from configs.evaluate import TEACHER
from configs.load import load_config
from configs.schema import RunConfig, Teacher
from flows.doctor.check import Check
from flows.doctor.sources import TIMEOUT_S
from storage.errors import UserError
from tasks.download.hub import auth_headers
from tasks.evaluate.noise.folder import check_noise_folders
from tasks.whisper.identity import model_files


def teacher_checks(config: RunConfig) -> Iterator[Check]:
    """Whether the teacher can be had, and supports the language."""
    teacher = config.label.teacher
    if (folder := teacher.folder) is not None:
        model_files(folder)
        found = f"{teacher.path} contains a model"
    elif _cached(teacher, "config.json") is not None:
        found = f"{_name(teacher)} is in the local Hub cache"
    else:
        yield _on_hub("teacher", teacher)
        return
    yield Check(subject="teacher", state="ok", found=found)
    yield from _language(config)


def evaluation_checks(config: RunConfig, *, thorough: bool = True) -> Iterator[Check]:
    """Whether the further models of the evaluation can be had, and its recordings of noise.

    `thorough` asks the Hub, and decodes the recordings.
    """
    for name, model in config.evaluate.models.items():
        subject = f"evaluate.models.{name}"
        if model.run is not None:
            load_config(model.run)
            yield Check(subject=subject, state="ok", found=f"the student of {model.run}")
        elif (folder := model.source.folder) is not None:
            model_files(folder)
            yield Check(subject=subject, state="ok", found=f"{folder} contains a model")
        elif thorough and _cached(model.source, "config.json") is None:
            yield _on_hub(subject, model.source)
    yield from _chunks(config)
    noise = config.evaluate.noise
    if noise is not None and noise.folders:
        check_noise_folders(noise, thorough=thorough)
        found = f"the recordings in {', '.join(noise.folders.values())} can be read"
        yield Check(subject="evaluate.noise", state="ok", found=found)


def _chunks(config: RunConfig) -> Iterator[Check]:
    """Which models have windows that are shorter than the chunks of long recordings."""
    long_form = config.evaluate.long_form
    if long_form is None or "chunked" not in long_form.algorithms:
        return
    whispers = {
        name: one.source
        for name, one in config.evaluate.models.items()
        if one.run is None and one.engine == "whisper"
    }
    for name, model in ({TEACHER: config.label.teacher} | whispers).items():
        window_s = _features(model).get("chunk_length")
        if isinstance(window_s, int) and long_form.chunk_s > window_s:
            subject, chunk_s = "evaluate.long_form", f"{long_form.chunk_s:g}"
            found = f"chunk_s is {chunk_s}, but the window of {name} has {window_s} s"
            next_step = f"set {subject}.chunk_s to at most {window_s}"
            yield Check(subject=subject, state="problem", found=found, next_step=next_step)


def _features(model: Teacher) -> dict[str, Any]:
    """The settings of a model's features, from one of the two files that have them; or nothing."""
    if (file := _local_file(model, "preprocessor_config.json")) is not None:
        return _json_object(file)
    if (file := _local_file(model, "processor_config.json")) is None:
        return {}
    found: Any = _json_object(file).get("feature_extractor")
    return found if isinstance(found, dict) else {}


def _local_file(model: Teacher, name: str) -> Path | None:
    """A file of a model in a folder or in the local Hub cache; None if there is none."""
    path = _cached(model, name) if model.folder is None else model.folder / name
    return path if path is not None and path.is_file() else None


def _json_object(path: Path) -> dict[str, Any]:
    """The contents of a file of a model; raises `UserError` if it is not a JSON object."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}); copy the model again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object; copy the model again")
    return value


def _name(model: Teacher) -> str:
    return f"{model.hub}@{model.revision}"


def _cached(teacher: Teacher, file: str) -> Path | None:
    found = try_to_load_from_cache(str(teacher.hub), file, revision=teacher.revision)
    return Path(found) if isinstance(found, str) else None


def _on_hub(subject: str, teacher: Teacher) -> Check:
    name = _name(teacher)
    url = hf_hub_url(str(teacher.hub), "config.json", revision=teacher.revision)
    alternative = "or copy the model to a folder and give its `path`"
    try:
        response = httpx.head(url, headers=auth_headers(), timeout=TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError as error:
        found = f"cannot reach the Hub for {name} ({type(error).__name__})"
        next_step = f"check the network, {alternative}"
        return Check(subject=subject, state="problem", found=found, next_step=next_step)
    if response.is_success:
        return Check(subject=subject, state="ok", found=f"{name} is on the Hub")
    found = f"the Hub answers {response.status_code} for {name}"
    next_step = f"check `hub`, `revision` and HF_TOKEN, {alternative}"
    return Check(subject=subject, state="problem", found=found, next_step=next_step)


def _language(config: RunConfig) -> Iterator[Check]:
    """Whether the teacher has a token for the language, according to its generation settings."""
    file = _local_file(config.label.teacher, "generation_config.json")
    if file is None:
        return
    values = _json_object(file)
    known = values.get("lang_to_id") or {}
    if not isinstance(known, dict):
        raise UserError(f"{file} has no settings of a Whisper; copy the model again")
    language = config.label.language
    if known and f"<|{language}|>" not in known:
        found = f"the teacher does not support the language {language!r}"
    elif not known and values.get("is_multilingual") is False and language != "en":
        found = f"the teacher supports only English, and label.language is {language!r}"
    else:
        return
    next_step = "change label.language, or use another teacher"
    yield Check(subject="teacher", state="problem", found=found, next_step=next_step)

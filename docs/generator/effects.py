"""The stages that each setting is a parameter of: found by changing one setting at a time."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from configs.schema import RunConfig, Teacher
from docs.generator.blocks import block_in, blocks, properties
from storage.errors import UserError
from tasks.corpora.registry import corpus_of_run
from tasks.distil.stage import DISTIL, distil_parameters
from tasks.evaluate.conditions import conditions
from tasks.evaluate.identity import condition_parameters
from tasks.evaluate.stage import EVALUATE
from tasks.stage import StageContext
from tasks.stages import STAGES, student_fingerprint
from tasks.whisper.identity import teacher_identity

_COMMIT: Final = "0" * 40
_OTHER_COMMIT: Final = "1" * 40
_MODEL: Final = {"hub": "openai/whisper-large-v2", "revision": _COMMIT}
_LOCAL: Final = {
    "splits": {
        "validation": {"files": ["*.jsonl"], "role": "validation", "percent": 5},
        "train": {"files": ["*.jsonl"]},
        "more": {"files": ["more/*.jsonl"]},
    }
}
_EVERYTHING: Final = {
    "root": "data",
    "corpora": {
        "librispeech": {},  # an archive, which may come from a mirror
        "gigaspeech": {"form": "hub"},  # in several forms, on the Hub at a commit
        "own": {"mirror": "data", "local": _LOCAL},
    },
    "label": {"teacher": _MODEL},
    "filter": {
        "contamination": {},
        "fraction": 0.5,
        "rights": ["commercial_use", "derivatives", "redistribution"],
    },
    "publish": {"name": "all"},
    "distil": {"initial_student": _MODEL, "spec_augment": {}},
    "evaluate": {
        "models": {"other": _MODEL},
        "long_form": {},
        "noise": {"folders": {"rain": "tasks/demo/teacher"}, "snr_db": [0]},
    },
    "runtime": {"label_draft": _MODEL},
}
_SYNTHETIC: Final = {"folder": "data", "num_train_utterances": 1, "num_eval_utterances": 1}
_CONFIGURATIONS: Final = (_EVERYTHING, {**_EVERYTHING, "synthetic": _SYNTHETIC})
"""Configurations in which, together, every block is given and every key has an effect."""

_OTHER_VALUES: Final[Mapping[str, Any]] = {
    "form": "release",
    "revision": _OTHER_COMMIT,
    "path": "tasks/demo/teacher",
}
"""Values of keys that are looked up when an identity is computed, and have to exist."""

Decided = Mapping[tuple[str, str], Any]
"""Stage and parameter to its value."""


@functools.cache
def effects() -> Mapping[str, tuple[str, ...]]:
    """Dotted key to the stages that it is a parameter of, in their order; none for most."""
    order = [stage.name for stage in STAGES]
    found: dict[str, set[str]] = {}
    for config in map(RunConfig.model_validate, _CONFIGURATIONS):
        before = {corpus: _decided(config, corpus) for corpus in config.corpora}
        for block in blocks(RunConfig):
            for name in block.kind.model_fields:
                path = [*block.path.split("."), name] if block.path else [name]
                found.setdefault(".".join(path), set()).update(_changed_by(config, before, path))
    return {key: tuple(sorted(stages, key=order.index)) for key, stages in found.items()}


def _changed_by(config: RunConfig, before: Mapping[str, Decided], path: Sequence[str]) -> set[str]:
    """The stages that have a parameter which changes with some other value of a key."""
    changed: set[str] = set()
    for corpus in before:
        for other in _variants(config, path, corpus):
            try:
                after = _decided(other, corpus)
            except UserError:  # this corpus has no such form or revision
                continue
            keys = before[corpus].keys() | after.keys()
            changed |= {key[0] for key in keys if before[corpus].get(key) != after.get(key)}
    return changed


def _variants(value: Any, path: Sequence[str], corpus: str) -> Iterator[Any]:
    """The settings with each other value of one key; in each entry where the path has a `NAME`."""
    name, *rest = path
    if isinstance(value, dict):
        for key in [corpus] if corpus in value else list(value):
            yield from ({**value, key: one} for one in _variants(value[key], rest, corpus))
        return
    if not isinstance(value, BaseModel):
        return
    inner = getattr(value, name)
    others = _variants(inner, rest, corpus) if rest else _other_values(value, name)
    yield from (value.model_copy(update={name: one}) for one in others)


def _other_values(settings: BaseModel, name: str) -> Iterator[Any]:
    """Values that differ from the one a setting has; they need not be valid ones."""
    value = getattr(settings, name)
    schema = properties(type(settings))[name]
    kinds = schema.get("anyOf", [schema])
    if name in _OTHER_VALUES:
        yield _OTHER_VALUES[name]
    elif isinstance(value, BaseModel) or block_in(type(settings).model_fields[name]):
        return  # its own keys are tried one by one
    elif choices := [one for kind in kinds for one in _choices(kind)]:
        yield from (one for one in choices if one != value)
    elif isinstance(value, dict):
        yield {} if value else {next(iter(_EVERYTHING["corpora"])): 2.0}
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, tuple):
        yield () if value else ("x",)
    elif isinstance(value, str) or (value is None and kinds[0].get("type") == "string"):
        yield f"{value}x"
    else:
        yield (value or 0) + 1


def _choices(schema: Mapping[str, Any]) -> Sequence[Any]:
    choices: Sequence[Any] = schema.get("enum", ())
    return choices


def _decided(config: RunConfig, name: str) -> Decided:
    """All parameters that a configuration gives the stages, for one corpus."""
    corpus = corpus_of_run(config, name)
    context = StageContext(config=config, corpus=corpus, evaluation_index="")
    found = {
        (stage.name, one.name): one.value for stage in STAGES for one in stage.parameters(context)
    }
    found |= {(DISTIL.name, one.name): one.value for one in distil_parameters(config)}
    found[DISTIL.name, "manifest"] = student_fingerprint(config, "", [])
    for one in conditions(config.evaluate):
        for key, value in condition_parameters(config, one).items():
            found[EVALUATE.name, f"{one.name}.{key}"] = value
    if config.evaluate.noise is not None:  # by its share of each shard in the fingerprints
        found[EVALUATE.name, "num_utterances"] = config.evaluate.noise.num_utterances
    for key, model in config.evaluate.models.items():
        source = Teacher.model_construct(path=model.path, hub=model.hub, revision=model.revision)
        found[EVALUATE.name, f"models.{key}"] = model.run or teacher_identity(source)
    return found

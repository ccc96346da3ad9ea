"""YAML files as validated settings; errors name every mistake with its place."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from configs.settings import holds_credentials

Model = TypeVar("Model", bound=BaseModel)

_BAD_VALUES: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What PyYAML raises for dates, numbers and tags that it cannot convert, and for deep nesting."""


class ConfigError(ValueError):
    """A missing or invalid configuration; the message has place, value found and value expected."""


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys; YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    line = key.start_mark.line + 1
                    raise ConfigError(f"line {line}: duplicate key {key.value!r}; remove one")
                keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_mapping(
    path: str | Path, file: Path, *, kind: str, expected: str, bundled: Sequence[str]
) -> dict[str, Any]:
    """The keys and values of the YAML `file`, a `kind` of file that messages call `path`.

    Raises `ConfigError` if the file is missing, with the `bundled` names that are known instead; if
    it cannot be read, is not YAML, or has no keys, such as those `expected`.
    """
    try:
        value = _UniqueKeys(file.read_text(encoding="utf-8")).get_single_data()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise ConfigError(
            f"cannot read the {kind} {path}: {error}; give the path of a file, or the name"
            f" of a bundled {kind}: {', '.join(bundled)}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the {kind} {path}: {error}") from error
    except (yaml.YAMLError, *_BAD_VALUES) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path} contains {type(value).__name__}, expected keys such as {expected}"
        )
    return value


def validated(model: type[Model], value: Any, path: str | Path) -> Model:
    """`value` as settings; raises `ConfigError` for unknown keys and invalid values, naming all."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = "; ".join(_explain(mistake, model) for mistake in error.errors())
        raise ConfigError(f"{path}: {mistakes}") from error


def _explain(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        known = _known_keys(model, mistake["loc"][:-1])
        near = get_close_matches(str(mistake["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    if mistake["type"] == "missing":
        return f"{where}: missing"
    message = mistake["msg"].removeprefix("Value error, ")
    found = mistake["input"]
    is_shown = not isinstance(found, dict) and not holds_credentials(str(found))
    return f"{where or 'configuration'}: {message}" + (f"; found {found!r}" if is_shown else "")


def _known_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The allowed keys of the block of `model` at `location`."""
    for part in location:
        if part in model.model_fields:
            inner = model.model_fields[str(part)].annotation
            model = next(iter(_models(inner)), model)
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]

"""What a stage is: one frozen value from which everything else about it is derived.

A stage lives in a folder of its own (`tasks/score/stage.py`) and becomes part of the pipeline by
its line in `tasks/stages.py`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from configs.schema import RunConfig
from storage.fingerprint import Hashable
from storage.stage import ROW_GROUP_BYTES, TableFormat
from tasks.corpora.base import Corpus, Role
from tasks.job import Inputs, Output


class Resource(StrEnum):
    """What a unit of work occupies while it runs; each has a concurrency of its own."""

    NETWORK = "network"
    CPU = "cpu"
    DEVICE = "device"


class Scope(StrEnum):
    """What one unit of work of a stage covers."""

    PART = "part"  # a file to download, a split to plan
    SHARD = "shard"
    RUN = "run"


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """What the parameters of a stage are computed from.

    `evaluation_index` is the digest of all indexed evaluation speech; None where nothing depends
    on it.
    """

    config: RunConfig
    corpus: Corpus
    evaluation_index: str | None = None


class _NoDefault:
    """A parameter that has to be given, or that is computed."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that affects the result of a stage, by its dotted name."""

    name: str
    value: Hashable
    default: Any = _NoDefault

    @property
    def has_default(self) -> bool:
        """Whether it may be left out of a configuration."""
        return self.default is not _NoDefault


Parameters = Callable[[StageContext], Iterator[Parameter]]


def _no_parameters(context: StageContext) -> Iterator[Parameter]:
    yield from ()


def _always(config: RunConfig, corpus: str, role: Role) -> bool:
    return True


def is_trained_on(config: RunConfig, corpus: str, role: Role) -> bool:
    """Whether speech of this role is labelled, scored and filtered."""
    return role == "train"


def _never(config: RunConfig, corpus: str) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A step of the pipeline.

    `version` is raised when the meaning of the output changes. `inputs` are the stages whose
    output it reads, the first one row by row. `parameters` are all values that affect the result,
    and `defaults` are the defaults that were in force when `version` was released: only parameters
    that differ from them enter the fingerprint, so that a new setting with a default invalidates
    nothing. `applies` tells whether a shard of a corpus and role goes through the stage.
    `needs_evaluation_index` tells whether the index of all evaluation speech has to be complete
    first. `make_shard` is the pure transform of one shard. With `row_group_bytes` None each batch
    of the output becomes a row group of its own.
    """

    name: str
    version: int
    scope: Scope
    resource: Resource
    inputs: tuple[str, ...] = ()
    schema: pa.Schema | None = None
    parameters: Parameters = _no_parameters
    defaults: Mapping[str, Hashable] = field(default_factory=dict)
    applies: Callable[[RunConfig, str, Role], bool] = _always
    needs_evaluation_index: Callable[[RunConfig, str], bool] = _never
    make_shard: Callable[[Inputs], Output] | None = None
    row_group_bytes: int | None = ROW_GROUP_BYTES

    @property
    def table(self) -> TableFormat:
        """The format of its output; raises `ValueError` for a stage that writes no table."""
        if self.schema is None:
            raise ValueError(f"the stage {self.name} writes no table")
        return TableFormat(schema=self.schema, row_group_bytes=self.row_group_bytes)

    def identity(self, parameters: Iterable[Parameter]) -> dict[str, Hashable]:
        """The parameters that differ from the pinned defaults: what a fingerprint covers."""
        return {
            one.name: one.value
            for one in parameters
            if one.value != self.defaults.get(one.name, one.default)
        }


def settings_parameters(
    settings: BaseModel, *, exclude: frozenset[str] = frozenset(), prefix: str = ""
) -> Iterator[Parameter]:
    """The fields of a block of settings, nested blocks by dotted names.

    An optional block that is given counts as a parameter of its own, so that giving one whose
    fields all have their defaults differs from leaving it out.
    """
    for name, declared in type(settings).model_fields.items():
        value, dotted = getattr(settings, name), f"{prefix}{name}"
        if name in exclude:
            continue
        if not isinstance(value, BaseModel):
            yield Parameter(dotted, to_jsonable_python(value), _default(declared))
            continue
        if not isinstance(declared.get_default(call_default_factory=False), BaseModel):
            yield Parameter(dotted, "given", _default(declared))
        yield from settings_parameters(value, prefix=f"{dotted}.")


def _default(declared: FieldInfo) -> Any:
    default = declared.get_default(call_default_factory=True, validated_data={})
    return _NoDefault if default is PydanticUndefined else to_jsonable_python(default)
